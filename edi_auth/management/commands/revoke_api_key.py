"""`manage.py revoke_api_key`."""

from typing import Any

from django.core.management.base import CommandParser

from edi_auth import services
from tokens.core.commands import RegistryCommand, add_reason


class Command(RegistryCommand):
    """Revoke an API key."""

    help = "Revoke an API key: it stops working at once and for good."
    example = "revoke_api_key R9arQ --reason 'found in a repository'"

    def arguments(self, parser: CommandParser) -> None:
        """Add the key and the reason."""
        parser.add_argument("key", metavar="PREVIEW|ID", help="the first 5 characters of the key, or its id")
        add_reason(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Revoke it."""
        key = services.revoke_key(services.key_of(options["key"]), actor=self.actor, reason=options["reason"])
        self.report(
            f"Revoked the API key {key.name!r} ({key.preview}…, id {key.pk}).",
            {"id": key.pk, "name": key.name, "preview": key.preview, "state": str(key.state)},
        )
