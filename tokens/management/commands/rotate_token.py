"""`manage.py rotate_token`."""

from datetime import timedelta
from typing import Any

from tokens import dialect, services
from tokens.core.commands import RotateCommand
from tokens.core.lifecycle import Minted
from tokens.models import NamedToken


class Command(RotateCommand):
    """Rotate a named token."""

    help = "Give a named token a new value and print it. The old value still works for the grace period."
    example = "rotate_token ci --grace 2h"
    named = ("NAME", "the token's name")
    field = "token"

    def find(self, given: str) -> NamedToken:
        """The token of that name."""
        return services.named(given)

    def rotate(self, row: NamedToken, grace: timedelta) -> Minted[NamedToken]:
        """Rotate it."""
        return services.rotate(row, actor=self.actor, grace=grace)

    def document(self, row: NamedToken) -> dict[str, Any]:
        """The token as `/_/token/rotate` shows it."""
        return dialect.rotated_row(row)
