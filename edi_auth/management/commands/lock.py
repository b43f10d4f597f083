"""`manage.py lock`."""

from typing import Any

from django.core.management.base import CommandParser

from edi_auth import services
from tokens.core.commands import RegistryCommand, add_reason


class Command(RegistryCommand):
    """Lock a profile or group, or unlock it."""

    help = (
        "Lock a profile or group until it is unlocked: its API keys are refused at once, and within seconds its tokens "
        "are no longer renewed."
    )
    example = "lock EDI-5017d16f70178f86d41c900ec4e88d1f303ce4cb --reason 'laptop stolen'"

    def arguments(self, parser: CommandParser) -> None:
        """Add the principal, the reason and the way back."""
        parser.add_argument("edi_id", metavar="EDI-ID", help="the profile or group")
        parser.add_argument("--undo", action="store_true", help="unlock it")
        add_reason(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Lock or unlock it; what is locked, or is not, stays as it is."""
        principal, is_locked = services.principal_of(options["edi_id"]), not options["undo"]
        done, was_locked = "locked" if is_locked else "unlocked", principal.locked_at is not None
        services.set_locked(principal, is_locked, actor=self.actor, reason=options["reason"])
        who = f"{principal._meta.verbose_name} {principal}"
        self.report(
            f"The {who} is {done} already." if was_locked == is_locked else f"{done.capitalize()} the {who}.",
            {"kind": principal.kind, "edi_id": principal.edi_id, "locked": is_locked},
        )
