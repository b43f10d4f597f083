"""`manage.py mint_performance_token`."""

from typing import Any

from django.core.management.base import CommandParser

from podcast_perf import services
from tokens.core.command_line import Usage
from tokens.core.commands import RegistryCommand


class Command(RegistryCommand):
    """Mint a performance token."""

    help = "Mint a performance token, as GET /token does, and print it."
    example = "mint_performance_token --hours 2"

    def arguments(self, parser: CommandParser) -> None:
        """Add sort and lifetime."""
        parser.add_argument("--listener", action="store_true", help="a token for feeds and players, not for an admin")
        parser.add_argument("--hours", type=int, metavar="N", help="lifetime in hours (default: EXPIRES_IN)")

    def run(self, options: dict[str, Any]) -> None:
        """Mint it."""
        hours = options["hours"]
        if hours is not None and not 0 < hours <= services.MAX_HOURS:
            raise Usage(f"--hours must be a whole number from 1 to {services.MAX_HOURS}.")
        minted = services.mint(
            actor=self.actor,
            holder=None,
            hours=None if hours is None else str(hours),
            is_admin=not options["listener"],
        )
        token = minted.row
        sort = "admin" if token.is_admin else "listener"
        self.report_secret(
            f"Minted the {sort} token {token.serial}, which expires at {token.expires_at:%Y-%m-%d %H:%M:%S} UTC:",
            token.claims() | {"token": minted.secret},
            secret=minted.secret,
        )
