"""`manage.py purge_tokens`."""

from datetime import datetime
from typing import Any

from django.conf import settings

from podcast_perf import services
from tokens.core.commands import PurgeCommand
from tokens.core.purging import Purged


class Command(PurgeCommand):
    """Delete performance tokens that expired long ago."""

    help = "Delete performance tokens that expired long ago, in batches, while the server goes on serving."
    example = "purge_tokens --older-than 30d --batch 5000 --max-seconds 300"
    age = "how long ago they expired"

    @property
    def default(self) -> str:
        """What the sweep that minting does by itself keeps to."""
        return f"{settings.PERFORMANCE_TOKEN_KEEP_DAYS or services.KEPT.days}d"

    def rows(self, moment: datetime) -> Any:
        """Those that had expired at `moment`."""
        return services.expired_before(moment)

    def purge(self, **given: Any) -> Purged:
        """Delete them."""
        return services.purge(**given)
