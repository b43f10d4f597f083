"""`manage.py rotate_api_key`."""

from typing import Any

from django.core.management.base import CommandParser

from edi_auth import services
from tokens.core.commands import RegistryCommand, add_grace, grace


class Command(RegistryCommand):
    """Rotate an API key."""

    help = "Give an API key a new secret and print it. The old secret stays good for the grace."
    example = "rotate_api_key R9arQ --grace 2h"

    def arguments(self, parser: CommandParser) -> None:
        """Add the key and the grace."""
        parser.add_argument("key", metavar="PREVIEW|ID")
        add_grace(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Rotate it."""
        key = services.key_of(options["key"])
        minted = services.rotate_key(key, actor=self.actor, grace=grace(options["grace"]))
        key = minted.row
        until = key.previous_valid_until.isoformat() if key.previous_valid_until else None
        self.report_secret(
            f"Rotated the API key {key.name!r} (id {key.pk}). Its new secret:",
            {
                "id": key.pk,
                "name": key.name,
                "preview": key.preview,
                "previous_valid_until": until,
                "key": minted.secret,
            },
            secret=minted.secret,
        )
