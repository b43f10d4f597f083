"""`manage.py revoke_performance_token`."""

import pytest

from tests.commands.conftest import actor_of
from tests.factories import PerformanceTokenFactory
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

REVOKE = "podcast_perf:performance_token:revoke"


def test_ends_the_token(manage):
    token = PerformanceTokenFactory()
    outcome = manage("revoke_performance_token", token.serial)
    assert (outcome.code, outcome.out) == (0, f"Revoked the performance token {token.serial}.\n")
    token.refresh_from_db()
    assert token.state == "revoked"


def test_ends_no_other_token(manage):
    other = PerformanceTokenFactory()
    manage("revoke_performance_token", PerformanceTokenFactory().serial)
    other.refresh_from_db()
    assert other.state == "active"


def test_prints_one_json_document(manage):
    token = PerformanceTokenFactory()
    document = manage("revoke_performance_token", token.serial, "--json").document
    assert document == {**token.claims(), "state": "revoked"}


def test_changes_nothing_the_second_time(manage):
    token = PerformanceTokenFactory()
    manage("revoke_performance_token", token.serial)
    token.refresh_from_db()
    revoked_at = token.revoked_at
    assert manage("revoke_performance_token", token.serial).code == 0
    token.refresh_from_db()
    assert token.revoked_at == revoked_at
    assert AuditEvent.objects.filter(action=REVOKE).count() == 1


def test_refuses_an_unknown_serial(manage):
    outcome = manage("revoke_performance_token", "lwus8z6p-d6260a7ddbb086e4")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("CommandError: There is no performance token 'lwus8z6p-d6260a7ddbb086e4'.\n")


def test_refuses_to_guess_a_serial(manage):
    assert manage("revoke_performance_token").code == 2


def test_names_the_user_in_the_audit_log(manage, operator):
    manage("revoke_performance_token", PerformanceTokenFactory().serial)
    assert actor_of(REVOKE) == ("command", "command", "jane", "jane (manage.py)")


def test_keeps_the_reason(manage):
    manage("revoke_performance_token", PerformanceTokenFactory().serial, "--reason", "posted in a forum")
    assert AuditEvent.objects.get(action=REVOKE).reason == "posted in a forum"
