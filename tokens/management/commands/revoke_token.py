"""`manage.py revoke_token`."""

from typing import Any

from django.core.management.base import CommandParser

from tokens import dialect, services
from tokens.core.commands import RegistryCommand, add_reason


class Command(RegistryCommand):
    """Revoke a named token."""

    help = "Revoke a named token: it stops working at once and for good, and its name is free again."
    example = "revoke_token ci --reason 'left the company'"

    def arguments(self, parser: CommandParser) -> None:
        """Add the name and the reason."""
        parser.add_argument("name", metavar="NAME", help="the token's name")
        add_reason(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Revoke it."""
        token = services.revoke(options["name"], actor=self.actor, reason=options["reason"])
        self.report(f"Revoked the named token {token.name!r}.", dialect.row(token))
