"""`manage.py purge_audit_log`."""

from datetime import datetime
from typing import Any

from tokens import services
from tokens.core.commands import PurgeCommand
from tokens.core.purging import Purged


class Command(PurgeCommand):
    """Delete the audit events of long ago."""

    help = (
        "Delete old audit events, in batches, while the server goes on serving. One event tells of it. Export what you "
        "want to keep in the admin first."
    )
    example = "purge_audit_log --older-than 400d --max-seconds 300"
    age = f"how long ago they were recorded; at least {services.AUDIT_KEPT.days}d"

    def rows(self, moment: datetime) -> Any:
        """Those from before `moment`."""
        return services.recorded_before(moment)

    def purge(self, **given: Any) -> Purged:
        """Delete them."""
        return services.purge_audit_log(**given)
