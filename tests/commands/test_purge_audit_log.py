"""`manage.py purge_audit_log`."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import NamedTokenFactory
from tokens import services
from tokens.core.errors import Invalid
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

PURGE = "tokens:audit_log:purge"


def recorded(days, actor, number=1):
    """The events of so many days ago: the reading of a named token."""
    row, at = NamedTokenFactory(), timezone.now() - timedelta(days=days)
    return {services.audit.record(services.Action.READ_VALUE, row, actor=actor, now=at).pk for _ in range(number)}


def there():
    return set(AuditEvent.objects.exclude(action=PURGE).values_list("pk", flat=True))


def test_deletes_what_was_recorded_long_ago_and_tells_so(manage, actor, operator, admin_client):
    recorded(401, actor, 3)
    kept = recorded(399, actor, 2) | recorded(0, actor)
    outcome = manage("purge_audit_log", "--older-than", "400d", "--batch", "2")
    assert (outcome.code, outcome.out) == (0, "Deleted 3 audit events; 0 are left to delete.\n")
    assert there() == kept
    event = AuditEvent.objects.get(action=PURGE)
    assert (event.kind, event.object_label, event.actor_id) == ("audit_log", "3 audit events", operator)
    assert event.after["deleted"] == 3
    page = admin_client.get(f"/admin/tokens/auditevent/{event.pk}/change/")
    assert page.status_code == 200
    assert "3 audit events" in page.content.decode()


def test_says_how_many_it_would_delete(manage, actor):
    kept = recorded(50, actor, 2)
    assert manage("purge_audit_log", "--older-than", "40d", "--dry-run").out == "2 audit events would be deleted.\n"
    assert there() == kept


@pytest.mark.parametrize("arguments", [[], ["--older-than", "29d"], ["--older-than", "29d", "--dry-run"]], ids=" ".join)
def test_keeps_a_month_whatever_it_is_told(manage, actor, arguments):
    kept = recorded(29, actor) | recorded(500, actor)
    outcome = manage("purge_audit_log", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert there() == kept


def test_is_kept_to_by_the_service(actor):
    with pytest.raises(Invalid, match="at least 30 days"):
        services.purge_audit_log(actor=actor, older_than=timedelta(days=1), batch=10)
