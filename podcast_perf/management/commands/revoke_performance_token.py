"""`manage.py revoke_performance_token`."""

from typing import Any

from django.core.management.base import CommandParser

from podcast_perf import services
from tokens.core.commands import RegistryCommand, add_reason


class Command(RegistryCommand):
    """Revoke a performance token."""

    help = "Revoke a performance token. S is its claim `s`, which the admin and the audit log show."
    example = "revoke_performance_token lwus8z6p-d6260a7ddbb086e4 --reason 'posted in a forum'"

    def arguments(self, parser: CommandParser) -> None:
        """Add the serial and the reason."""
        parser.add_argument("serial", metavar="S", help="such as lwus8z6p-d6260a7ddbb086e4")
        add_reason(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Revoke it."""
        token = services.revoke(options["serial"], actor=self.actor, reason=options["reason"])
        self.report(f"Revoked the performance token {token.serial}.", token.claims() | {"state": str(token.state)})
