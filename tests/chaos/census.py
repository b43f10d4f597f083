"""What the database has after all: run by `manage.py shell`, prints one JSON document.

Each count is of rows whose audit events are not exactly those that their state tells of.
"""

import json

from django.db.models import Count

from edi_auth.models import ApiKey
from podcast_perf.models import PerformanceToken
from tokens.core.models import AuditEvent
from tokens.models import NamedToken


def events(action: str) -> dict[int, int]:
    """How many events of `action` each object has."""
    found = AuditEvent.objects.filter(action=action).values_list("object_id").annotate(Count("id")).order_by()
    return {int(object_id): count for object_id, count in found}


def mismatches(rows: set[int], counted: dict[int, int]) -> int:
    """The rows without exactly one event, and the events without their row."""
    return len({pk for pk in rows | counted.keys() if counted.get(pk, 0) != 1 or pk not in rows})


tokens = set(NamedToken.objects.values_list("pk", flat=True))
revoked = set(NamedToken.objects.filter(revoked_at__isnull=False).values_list("pk", flat=True))
performance = set(PerformanceToken.objects.values_list("pk", flat=True))
print(  # noqa: T201 — what it is for
    json.dumps(
        {
            "mismatches": mismatches(tokens, events("tokens:named_token:mint"))
            + mismatches(revoked, events("tokens:named_token:revoke"))
            + mismatches(performance, events("podcast_perf:performance_token:mint")),
            "events": AuditEvent.objects.count(),
            "updates": AuditEvent.objects.filter(action="tokens:named_token:update").count(),
            "uses": sum(ApiKey.objects.values_list("use_count", flat=True)),
            "performance": len(performance),
        }
    )
)
