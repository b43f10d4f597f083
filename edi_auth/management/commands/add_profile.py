"""`manage.py add_profile`."""

from typing import Any

from django.core.management.base import CommandParser

from edi_auth import services
from edi_auth.models import Idp
from tokens.core.commands import RegistryCommand


class Command(RegistryCommand):
    """Add a profile."""

    help = "Add a profile for an identity and print its EDI-ID."
    example = "add_profile --idp ldap --idp-uid uid=jane,o=EDI,dc=edirepository,dc=org --name 'Jane Doe'"

    def arguments(self, parser: CommandParser) -> None:
        """Add the identity and what is known of it."""
        parser.add_argument("--idp", required=True, choices=Idp.values, help="the identity provider")
        parser.add_argument(
            "--idp-uid",
            required=True,
            metavar="UID",
            help="the identity as the provider names it: a DN, an e-mail address, an ORCID iD",
        )
        parser.add_argument("--name", default="", metavar="CN", help="the common name")
        parser.add_argument("--email", default="", metavar="E", help="the e-mail address")

    def run(self, options: dict[str, Any]) -> None:
        """Add it."""
        profile = services.add_profile(
            idp=options["idp"],
            idp_uid=options["idp_uid"],
            common_name=options["name"],
            email=options["email"],
            actor=self.actor,
        )
        self.report(
            f"Added the profile {profile.edi_id} for {profile.idp_uid}.",
            {
                "edi_id": profile.edi_id,
                "idp": profile.idp,
                "idp_uid": profile.idp_uid,
                "name": profile.common_name,
                "email": profile.email,
            },
        )
