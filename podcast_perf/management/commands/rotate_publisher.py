"""`manage.py rotate_publisher`."""

from datetime import timedelta

from podcast_perf import services
from podcast_perf.models import Publisher
from tokens.core.commands import RotateCommand
from tokens.core.lifecycle import Minted


class Command(RotateCommand):
    """Rotate a publisher's key."""

    help = "Give a publisher a new X-PUB-KEY and print it. The old key still works for the grace period."
    example = "rotate_publisher 'The Daily Bark' --grace 7d"
    named = ("NAME", "the publisher's name")

    def find(self, given: str) -> Publisher:
        """The publisher of that name."""
        return services.publisher_of(given)

    def rotate(self, row: Publisher, grace: timedelta) -> Minted[Publisher]:
        """Rotate its key."""
        return services.rotate_publisher(row, actor=self.actor, grace=grace)
