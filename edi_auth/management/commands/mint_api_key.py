"""`manage.py mint_api_key`."""

from typing import Any

from django.core.management.base import CommandParser

from edi_auth import services
from tokens.core.command_line import Usage
from tokens.core.commands import RegistryCommand, add_validity, iso, validity


class Command(RegistryCommand):
    """Mint an API key."""

    help = "Mint an API key for a profile and print it."
    example = "mint_api_key EDI-5017d16f70178f86d41c900ec4e88d1f303ce4cb laptop --valid-to 2027-01-31"

    def arguments(self, parser: CommandParser) -> None:
        """Add owner, name, group and validity."""
        parser.add_argument("edi_id", metavar="EDI-ID", help="the profile that owns the key")
        parser.add_argument("name", metavar="NAME", help="what the key is for")
        parser.add_argument("--group", metavar="EDI-ID", help="exchange the key for tokens of this group")
        add_validity(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Mint it."""
        if options["group"] == "":
            raise Usage("--group must be the EDI-ID of a group.")
        minted = services.mint_key(
            options["name"],
            owner=services.profile_of(options["edi_id"]),
            group=services.group_of(options["group"]) if options["group"] is not None else None,
            actor=self.actor,
            **validity(options),
        )
        key = minted.row
        self.report_secret(
            f"Minted the API key {key.name!r} (id {key.pk}) for {key.group or key.owner}:",
            {
                "id": key.pk,
                "name": key.name,
                "preview": key.preview,
                "owner": key.owner.edi_id,
                "group": key.group.edi_id if key.group else None,
                "valid_from": iso(key.starts_at),
                "valid_to": iso(key.expires_at),
                "key": minted.secret,
            },
            secret=minted.secret,
        )
