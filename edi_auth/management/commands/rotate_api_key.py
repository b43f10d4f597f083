"""`manage.py rotate_api_key`."""

from typing import Any

from django.core.management.base import CommandParser

from edi_auth import services
from edi_auth.models import ApiKey
from tokens.core.commands import RegistryCommand, add_grace, grace


class Command(RegistryCommand):
    """Rotate an API key."""

    help = "Give an API key a new secret and print it. The old secret stays good for the grace."
    example = "rotate_api_key R9arQ --grace 2h"

    def arguments(self, parser: CommandParser) -> None:
        """Add the key and the grace."""
        parser.add_argument("key", metavar="PREVIEW|ID", help="the first 5 characters of the key, or its id")
        add_grace(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Rotate it, or show how far the last rotation is."""
        key = services.key_of(options["key"])
        if options["show"]:
            self.report_overlap(key, self._document(key))
            return
        minted = services.rotate_key(key, actor=self.actor, grace=grace(options["grace"]))
        key = minted.row
        self.report_secret(
            f"Rotated the API key {key.name!r} (id {key.pk}). Its new secret:",
            self._document(key) | {"key": minted.secret},
            secret=minted.secret,
        )

    def _document(self, key: ApiKey) -> dict[str, Any]:
        moments = ("rotated_at", "previous_valid_until", "previous_last_used_at")
        shown = {name: moment.isoformat() if (moment := getattr(key, name)) else None for name in moments}
        return {"id": key.pk, "name": key.name, "preview": key.preview, **shown}
