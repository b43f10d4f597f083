"""What `import_records` takes for this app: named tokens."""

from contextlib import suppress
from typing import Any

from tokens import services
from tokens.core import importing
from tokens.core.audit import Actor
from tokens.core.errors import InvalidCredential
from tokens.core.fields import StrictCharField
from tokens.core.importing import Importer
from tokens.models import NamedToken
from tokens.serializers import TokenRequest


class NamedTokenLine(TokenRequest):
    """The line of a named token: what `/_/token` takes to make one, and the value that it has."""

    token = StrictCharField()


def store_token(*, actor: Actor, token: str, name: str, **fields: Any) -> bool:
    """Store a named token that goes on having the value `token`."""
    with suppress(InvalidCredential):
        if services.find(token) is not None:
            return False
    services.mint(name, actor=actor, raw_value=token, **fields)
    return True


importing.register(Importer(NamedToken.kind, "named token", NamedTokenLine(), store_token))
