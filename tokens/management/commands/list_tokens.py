"""`manage.py list_tokens`."""

from typing import Any

from tokens import dialect, services
from tokens.core.commands import RegistryCommand, shown
from tokens.models import NamedToken


class Command(RegistryCommand):
    """List the named tokens."""

    help = "List the named tokens that were not revoked, by creation. No value is shown."
    example = "list_tokens --json"

    def run(self, options: dict[str, Any]) -> None:
        """List them."""
        tokens = services.listing()
        if self.is_json:
            self.report_rows((), map(dialect.row, tokens))
        else:
            self.report_rows(("name", "may", "state", "created", "expires", "last_used"), map(self._line, tokens))

    def _line(self, token: NamedToken) -> dict[str, str]:
        return {
            "name": token.name,
            "may": "read, write" if token.can_write else "read",
            "state": str(token.state),
            "created": shown(token.created_at),
            "expires": shown(token.expires_at),
            "last_used": shown(token.last_used_at),
        }
