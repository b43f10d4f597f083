"""`manage.py purge_tokens`, and the sweep that minting does by itself."""

import subprocess
import sys
import time
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from podcast_perf import services
from podcast_perf.models import PerformanceToken
from tests.commands.test_mint_token import Terminal
from tests.factories import PerformanceTokenFactory
from tokens.core import purging
from tokens.core.errors import Forbidden
from tokens.core.locks import only_one
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

PURGE = "podcast_perf:performance_token:purge"
OTHER = """
import sys
from tokens.core import purging
from tokens.core.errors import Forbidden
from tokens.core.locks import only_one
try:
    with only_one("purge", refusal="taken"):
        print("free")
except Forbidden as exc:
    print(exc)
"""


def expired(days, **fields):
    """A token that expired so many days ago."""
    end = timezone.now() - timedelta(days=days)
    return PerformanceTokenFactory(created_at=end - timedelta(hours=1), expires_at=end, **fields)


def serials():
    return set(PerformanceToken.objects.values_list("serial", flat=True))


def test_deletes_what_expired_long_ago_and_nothing_else(manage):
    old = [expired(31), expired(400), expired(31, revoked_at=timezone.now())]
    kept = {expired(29).serial, expired(0).serial, PerformanceTokenFactory().serial}
    outcome = manage("purge_tokens")
    assert (outcome.code, outcome.out) == (0, f"Deleted {len(old)} performance tokens; 0 are left to delete.\n")
    assert serials() == kept


def test_deletes_in_batches_each_in_its_own_transaction_and_rests_between_them(actor, monkeypatch):
    for _ in range(7):
        expired(40)
    batches, rests = [], []
    monkeypatch.setattr(purging, "time", SimpleNamespace(monotonic=time.monotonic, sleep=rests.append))
    with CaptureQueriesContext(connection) as captured:
        services.purge(actor=actor, older_than=timedelta(days=30), batch=3, progress=batches.append)
    assert (batches, len(rests)) == ([3, 3, 1, 0], 2)
    assert len([query for query in captured if query["sql"].startswith("DELETE")]) == 4


def test_goes_on_when_somebody_else_deletes_some_of_them(actor, monkeypatch):
    for _ in range(9):
        expired(40)
    delete, others = purging.delete, [1, 0]

    def beside_another(rows):
        number = delete(rows)
        PerformanceToken.objects.filter(pk__in=PerformanceToken.objects.values("pk")[: (gone := others.pop())]).delete()
        others.insert(0, gone)
        return number - gone

    monkeypatch.setattr(purging, "delete", beside_another)
    services.purge(actor=actor, older_than=timedelta(days=30), batch=3)
    assert not PerformanceToken.objects.exists()


def test_stops_between_two_batches_when_its_time_is_over(actor, monkeypatch):
    for _ in range(5):
        expired(40)
    moments, rests = iter([0.0, 1.0, 1.0, 2.5, 9.0, 9.0, 9.5, 11.0]), []
    monkeypatch.setattr(purging, "time", SimpleNamespace(monotonic=lambda: next(moments), sleep=rests.append))
    purged = services.purge(actor=actor, older_than=timedelta(days=30), batch=2, max_seconds=10)
    assert purged.deleted == 4
    assert PerformanceToken.objects.count() == 1
    assert rests == [purging.REST * 1.5, purging.REST * 0.5]


def test_deletes_nothing_in_a_dry_run(manage):
    kept = {expired(40).serial, expired(50).serial}
    outcome = manage("purge_tokens", "--dry-run")
    assert outcome.out == "2 performance tokens would be deleted.\n"
    assert serials() == kept
    assert not AuditEvent.objects.filter(action=PURGE).exists()


def test_takes_the_age_and_prints_one_json_document(manage):
    expired(3)
    expired(1)
    assert manage("purge_tokens", "--older-than", "2d", "--json").document == {"deleted": 1, "left": 0}


def test_records_one_event_for_it_all(manage, operator):
    for _ in range(3):
        expired(40)
    manage("purge_tokens", "--batch", "1")
    event = AuditEvent.objects.get(action=PURGE)
    assert (event.kind, event.object_id, event.actor_id) == ("performance_token", "", operator)
    assert (event.object_label, event.after["deleted"]) == ("3 performance tokens", 3)


def test_records_what_it_deleted_before_it_was_interrupted(actor):
    for _ in range(5):
        expired(40)

    def interrupt(_deleted):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.purge(actor=actor, older_than=timedelta(days=30), batch=2, progress=interrupt)
    assert PerformanceToken.objects.count() == 3
    assert AuditEvent.objects.get(action=PURGE).after["deleted"] == 2


@pytest.mark.parametrize(("terminal", "bars"), [("stdout", 0), ("stderr", 1)])
def test_shows_how_far_it_is_where_standard_error_is_a_terminal(monkeypatch, terminal, bars):
    shown = MagicMock()
    monkeypatch.setattr("tokens.core.commands.Progress", shown)
    expired(40)
    call_command("purge_tokens", **{"stdout": StringIO(), "stderr": StringIO(), terminal: Terminal()})
    assert shown.call_count == bars
    assert PerformanceToken.objects.count() == 0


def test_records_nothing_when_there_was_nothing(manage):
    manage("purge_tokens")
    assert not AuditEvent.objects.filter(action=PURGE).exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--batch", "0"],
        ["--batch", "100001"],
        ["--batch", "many"],
        ["--older-than", "0d"],
        ["--older-than", "soon"],
        ["--older-than", "999999w"],
        ["--max-seconds", "0"],
        ["--max-seconds", "-1"],
    ],
    ids=" ".join,
)
def test_refuses_wrong_usage_and_deletes_nothing(manage, arguments):
    kept = {expired(40).serial}
    outcome = manage("purge_tokens", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert serials() == kept


def test_lets_no_two_purges_overlap(manage, monkeypatch):
    expired(40)

    def refuse(name, *, refusal):
        raise Forbidden(refusal)

    monkeypatch.setattr(purging, "only_one", refuse)
    outcome = manage("purge_tokens")
    assert outcome.code == 1
    assert "Another purge is running." in outcome.err
    assert PerformanceToken.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_holds_its_lock_against_other_processes(tmp_path):
    def ask():
        code = f"import os, django; from django.conf import settings; django.setup(); {SAME_DATABASE}; {RUN}"
        done = subprocess.run(  # noqa: S603 — our own code
            [sys.executable, "-c", code, str(connection.settings_dict["NAME"]), OTHER],
            cwd=django_settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    with only_one("purge", refusal="taken"):
        assert ask() == "taken"
    assert ask() == "free"


SAME_DATABASE = "import sys; from django.db import connection; connection.settings_dict['NAME'] = sys.argv[1]"
RUN = "exec(sys.argv[2])"


def test_sweeps_a_few_old_ones_on_every_so_many_mints(actor, monkeypatch):
    monkeypatch.setattr(services, "SWEPT", 2)
    monkeypatch.setattr(services, "SWEEP_EVERY", 3)
    monkeypatch.setattr(services, "_minted", iter(range(1, 100)))
    for _ in range(5):
        expired(31)
    left = []
    for _ in range(6):
        services.mint(actor=actor, holder=None)
        left.append(PerformanceToken.objects.filter(expires_at__lt=timezone.now()).count())
    assert left == [5, 5, 3, 3, 3, 1]


def test_sweeps_more_than_is_minted_meanwhile():
    assert services.SWEPT > services.SWEEP_EVERY


@pytest.mark.parametrize("days", [0, 60])
def test_sweeps_nothing_that_is_to_be_kept(settings, days):
    settings.PERFORMANCE_TOKEN_KEEP_DAYS = days
    expired(59)
    assert services.sweep(now=timezone.now()) == 0
    assert PerformanceToken.objects.count() == 1


def test_sweeps_nothing_but_what_expired_long_ago():
    kept = {expired(29).serial, PerformanceTokenFactory().serial}
    expired(31)
    assert services.sweep(now=timezone.now()) == 1
    assert serials() == kept


def test_gives_the_token_away_when_a_sweep_fails(actor, monkeypatch):
    def fail(tokens):
        with transaction.atomic():
            connection.cursor().execute("SELECT nothing_of_the_kind")

    monkeypatch.setattr(purging, "delete", fail)
    monkeypatch.setattr(services, "SWEEP_EVERY", 1)
    minted = services.mint(actor=actor, holder=None)
    assert PerformanceToken.objects.get().serial == minted.row.serial
