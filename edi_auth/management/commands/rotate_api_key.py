"""`manage.py rotate_api_key`."""

from datetime import timedelta

from edi_auth import services
from edi_auth.models import ApiKey
from tokens.core.commands import RotateCommand
from tokens.core.lifecycle import Minted


class Command(RotateCommand):
    """Rotate an API key."""

    help = "Give an API key a new secret and print it. The old secret still works for the grace period."
    example = "rotate_api_key R9arQ --grace 2h"
    named = ("PREVIEW|ID", "the first 5 characters of the key, or its id")

    def find(self, given: str) -> ApiKey:
        """The key of that preview or id."""
        return services.key_of(given)

    def rotate(self, row: ApiKey, grace: timedelta) -> Minted[ApiKey]:
        """Rotate it."""
        return services.rotate_key(row, actor=self.actor, grace=grace)

    def words(self, row: ApiKey) -> str:
        """The key, and its id: names are not unique."""
        return f"{super().words(row)} (id {row.pk})"
