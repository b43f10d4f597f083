"""What `import_records` takes for this app: named tokens."""

from typing import Any

from tokens import services
from tokens.core import importing
from tokens.core.audit import Actor
from tokens.core.errors import InvalidCredential
from tokens.core.fields import StrictCharField
from tokens.core.importing import Updater
from tokens.models import NamedToken
from tokens.serializers import TokenRequest


class NamedTokenLine(TokenRequest):
    """The line of a named token: what `/_/token` takes to make one, and the value that it has."""

    token = StrictCharField()


class NamedTokens(Updater):
    """Named tokens, which go on having their values."""

    kind, label = NamedToken.kind, "named token"
    line = NamedTokenLine()
    compared = ("name", "is_active", "can_write", "expires_at")
    fixed = frozenset({"name"})

    def find(self, fields: dict[str, Any]) -> Any:
        """The token that has or had this value."""
        try:
            subject = services.subject_of(fields["token"])
        except InvalidCredential:
            return None
        return importing.found(NamedToken, subject)

    def add(self, fields: dict[str, Any], *, actor: Actor) -> NamedToken:
        """Store it."""
        return services.mint(fields.pop("name"), actor=actor, raw_value=fields.pop("token"), **fields).row

    def update(self, row: NamedToken, changes: dict[str, Any], *, actor: Actor) -> None:
        """Change it."""
        services.update(row, actor=actor, **changes)


importing.register(NamedTokens())
