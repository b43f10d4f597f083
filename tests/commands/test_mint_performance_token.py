"""`manage.py mint_performance_token`."""

from datetime import UTC, datetime

import pytest
import time_machine

from podcast_perf import services
from podcast_perf.models import PerformanceToken
from tests.commands.conftest import actor_of
from tests.factories import value_of
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
NOW_SECONDS = int(NOW.timestamp())


def test_prints_the_token_alone_on_standard_output(manage):
    outcome = manage("mint_performance_token")
    assert outcome.code == 0
    assert outcome.out == value_of(PerformanceToken.objects.get()) + "\n"


def test_says_on_standard_error_what_it_made(manage):
    with time_machine.travel(NOW, tick=False):
        outcome = manage("mint_performance_token")
    serial = PerformanceToken.objects.get().serial
    assert f"Minted the admin token {serial}, which expires at 2026-12-01 13:00:00 UTC:" in outcome.err
    assert outcome.out.strip() not in outcome.err


@pytest.mark.parametrize(
    ("options", "claims"),
    [
        ([], {"d": "1", "a": True, "iat": NOW_SECONDS, "exp": NOW_SECONDS + 3600}),
        (["--hours", "2"], {"d": "2", "a": True, "iat": NOW_SECONDS, "exp": NOW_SECONDS + 7200}),
        (["--listener"], {"d": "1", "iat": NOW_SECONDS, "exp": NOW_SECONDS + 3600}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_makes_what_the_options_ask_for(manage, options, claims):
    with time_machine.travel(NOW, tick=False):
        outcome = manage("mint_performance_token", *options)
    minted = services.ring().verify(outcome.out.strip())
    assert minted.pop("s") == PerformanceToken.objects.get().serial
    assert minted == claims


def test_prints_one_json_document(manage):
    document = manage("mint_performance_token", "--json").document
    token = PerformanceToken.objects.get()
    assert document == {**token.claims(), "token": value_of(token)}


@pytest.mark.parametrize("hours", ["0", "-1", "8785", "two", "1.5", ""])
def test_refuses_hours_that_make_no_sense_and_stores_nothing(manage, hours):
    outcome = manage("mint_performance_token", "--hours", hours)
    assert (outcome.code, outcome.out) == (2, "")
    assert not PerformanceToken.objects.exists()


def test_makes_nothing_without_the_secret(manage, settings):
    settings.PERFORMANCE_SECRET_KEY = ""
    outcome = manage("mint_performance_token")
    assert (outcome.code, outcome.out) == (1, "")
    assert "CommandError: PERFORMANCE_SECRET_KEY is not set." in outcome.err
    assert not PerformanceToken.objects.exists()


def test_names_the_user_in_the_audit_log(manage, operator):
    manage("mint_performance_token")
    assert actor_of("podcast_perf:performance_token:mint") == ("command", "command", "jane", "jane (manage.py)")


def test_keeps_the_token_out_of_the_audit_log(manage):
    signature = manage("mint_performance_token").out.strip().rpartition(".")[2]
    assert signature not in str(AuditEvent.objects.values().get())
