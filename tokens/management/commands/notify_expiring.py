"""`manage.py notify_expiring`."""

import sys
from typing import Any

from django.utils import timezone

from tokens.core.commands import RegistryCommand
from tokens.core.operations import notices


class Command(RegistryCommand):
    """Tell people of credentials that are about to expire."""

    help = (
        "Tell owners and operators, by mail and webhook, of credentials that expire within 30, 7 and 1 days. Run it "
        "every day, or every hour: nothing is told twice, and what a missed run left out the next one tells."
    )
    example = "notify_expiring"

    def run(self, options: dict[str, Any]) -> None:
        """Tell them; exit 1 when something could not be sent, which the next run tries again."""
        outcome = notices.notify(timezone.now())
        sentence = f"Sent {outcome.sent}, failed {outcome.failed}."
        self.report(sentence, {"sent": outcome.sent, "failed": outcome.failed})
        if outcome.failed:
            sys.exit(1)
