"""`manage.py mint_token`."""

from typing import Any

from django.core.management.base import CommandParser

from tokens import dialect, services
from tokens.core.commands import RegistryCommand, after, duration, moment


class Command(RegistryCommand):
    """Mint a named token."""

    help = "Mint a named token for /_/token and print its value."
    example = "mint_token ci --read-only --expires-in 30d"

    def arguments(self, parser: CommandParser) -> None:
        """Add the name and the token's properties."""
        parser.add_argument("name", metavar="NAME", help="1 to 255 characters, not taken yet")
        parser.add_argument("--read-only", action="store_true", help="the token may only list")
        parser.add_argument("--inactive", action="store_true", help="mint it inactive")
        expiry = parser.add_mutually_exclusive_group()
        expiry.add_argument("--expires-in", metavar="30d", help="lifetime: 90s, 15m, 12h, 30d, 4w (default: for ever)")
        expiry.add_argument("--expires-at", metavar="2027-01-31", help="date, or date and time, in UTC")

    def run(self, options: dict[str, Any]) -> None:
        """Mint it."""
        expires_at = None
        if options["expires_in"] is not None:
            expires_at = after(duration(options["expires_in"]))
        elif options["expires_at"] is not None:
            expires_at = moment(options["expires_at"])
        minted = services.mint(
            options["name"],
            actor=self.actor,
            expires_at=expires_at,
            is_active=not options["inactive"],
            can_write=not options["read_only"],
        )
        self.report_secret(
            f"Minted the named token {minted.row.name!r}. Its value:",
            dialect.row(minted.row) | {"token": minted.secret},
            secret=minted.secret,
        )
