"""`manage.py list_api_keys`."""

from typing import Any

from django.core.management.base import CommandParser

from edi_auth import services
from tokens.core.commands import RegistryCommand


class Command(RegistryCommand):
    """List the API keys of a profile or group."""

    help = "List the API keys that a profile owns, or that give tokens of a group, those that were revoked too."
    example = "list_api_keys EDI-5017d16f70178f86d41c900ec4e88d1f303ce4cb --json"

    def arguments(self, parser: CommandParser) -> None:
        """Add the principal."""
        parser.add_argument("edi_id", metavar="EDI-ID", help="the profile or group")

    def run(self, options: dict[str, Any]) -> None:
        """List them."""
        principal = services.principal_of(options["edi_id"])
        self.report_keys(principal.api_keys.select_related("owner", "group").order_by("id"))
