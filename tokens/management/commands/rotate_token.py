"""`manage.py rotate_token`."""

from typing import Any

from django.core.management.base import CommandParser

from tokens import dialect, services
from tokens.core.commands import RegistryCommand, add_grace, grace


class Command(RegistryCommand):
    """Rotate a named token."""

    help = "Give a named token a new value and print it. The old value stays good for the grace."
    example = "rotate_token ci --grace 2h"

    def arguments(self, parser: CommandParser) -> None:
        """Add the name and the grace."""
        parser.add_argument("name", metavar="NAME", help="the token's name")
        add_grace(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Rotate it, or show how far the last rotation is."""
        if options["show"]:
            token = services.named(options["name"])
            self.report_overlap(token, dialect.rotated_row(token))
            return
        minted = services.rotate(options["name"], actor=self.actor, grace=grace(options["grace"]))
        self.report_secret(
            f"Rotated the named token {minted.row.name!r}. Its new value:",
            dialect.rotated_row(minted.row) | {"token": minted.secret},
            secret=minted.secret,
        )
