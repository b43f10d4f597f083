"""`manage.py rotate_keys`."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from tokens.core import rotation
from tokens.core.commands import RegistryCommand


class Command(RegistryCommand):
    """Rotate a signing key."""

    help = (
        "Take the next step of rotating a signing key: publish a next key, sign with it, retire the old one. Nothing "
        "that was issued before stops working. Call it again for the next step; it says when that is due. An "
        "interrupted rotation continues where it stopped."
    )
    example = "rotate_keys edi"

    def arguments(self, parser: CommandParser) -> None:
        """Add the signer and the step."""
        parser.add_argument("signer", choices=sorted(rotation.signers()), help="whose key")
        parser.add_argument(
            "--step", choices=["publish", "sign", "retire"], help="do nothing unless this is the next step"
        )
        parser.add_argument("--force", action="store_true", help="do not wait until the step is due")

    def run(self, options: dict[str, Any]) -> None:
        """Take the step."""
        signer, now = rotation.signers()[options["signer"]], timezone.now()
        sentence = rotation.take(signer, options["step"], is_forced=options["force"], now=now)
        following = signer.next_step(timezone.now())
        document = {"signer": signer.name, "done": sentence, "next": following.name}
        self.report(sentence, document | {"due_at": following.due_at and following.due_at.isoformat()})
