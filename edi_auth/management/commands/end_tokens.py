"""`manage.py end_tokens`."""

from typing import Any

from django.core.management.base import CommandParser

from edi_auth import services
from tokens.core.commands import RegistryCommand, add_reason


class Command(RegistryCommand):
    """End all tokens of a profile or group."""

    help = (
        "End all EDI and PASTA tokens that a profile or group has been given so far: within seconds none is renewed "
        "any more. Its API keys still work and give new ones."
    )
    example = "end_tokens EDI-5017d16f70178f86d41c900ec4e88d1f303ce4cb --reason 'token found in a notebook'"

    def arguments(self, parser: CommandParser) -> None:
        """Add the principal and the reason."""
        parser.add_argument("edi_id", metavar="EDI-ID", help="the profile or group")
        add_reason(parser)

    def run(self, options: dict[str, Any]) -> None:
        """End them."""
        principal = services.principal_of(options["edi_id"])
        services.end_tokens(principal, actor=self.actor, reason=options["reason"])
        self.report(
            f"Ended all tokens of the {principal._meta.verbose_name} {principal}.",
            {"kind": principal.kind, "edi_id": principal.edi_id},
        )
