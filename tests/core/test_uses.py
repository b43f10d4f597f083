"""Uses of credentials: counted in memory without a write for each request, stored soon, lost to nothing but a kill."""

import runpy
import threading
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import InternalError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.factories import NamedTokenFactory, PublisherFactory, secret_of, value_of
from tokens import services
from tokens.core import lifecycle
from tokens.core.operations import background, counters
from tokens.models import DailyCount, NamedToken

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def uses(row):
    return type(row).objects.get(pk=row.pk).use_count


def test_counts_every_use_of_a_named_token_and_of_nobody_else(api):
    token, other = NamedTokenFactory(), NamedTokenFactory()
    for _ in range(3):
        assert api.call("GET", "/_/token", bearer=value_of(token)).status_code == 200
    assert api.call("POST", "/introspect", {"token": "x"}, bearer=value_of(token)).status_code == 200
    counters.flush()
    assert (uses(token), uses(other)) == (4, 0)


def test_counts_every_use_of_a_publisher(api):
    publisher = PublisherFactory()
    for _ in range(3):
        assert api.call("GET", "/token", headers={"X-PUB-KEY": secret_of(publisher)}).status_code == 200
    counters.flush()
    assert uses(publisher) == 3


def test_counts_uses_of_the_secret_that_was_rotated_out(api, actor):
    token = NamedTokenFactory()
    old = value_of(token)
    fresh = services.rotate(token.name, actor=actor).secret
    for value in (old, fresh, fresh):
        assert api.call("GET", "/_/token", bearer=value).status_code == 200
    counters.flush()
    assert uses(token) == 3


@pytest.mark.parametrize("error", [OperationalError, InternalError])
@pytest.mark.parametrize(("is_in_transaction", "closed"), [(False, 1), (True, 0)])
def test_goes_on_where_a_last_use_cannot_be_stored(monkeypatch, caplog, error, is_in_transaction, closed):
    token, closings = NamedTokenFactory(), []

    def refuse(*args, **kwargs):
        raise error("the password is hunter2")

    def close():
        closings.append(token)

    monkeypatch.setattr(NamedToken.objects, "filter", refuse)
    doubtful = SimpleNamespace(in_atomic_block=is_in_transaction, close_if_unusable_or_obsolete=close)
    monkeypatch.setattr(lifecycle, "connection", doubtful)
    lifecycle.note_use(token, now=NOW)
    assert len(closings) == closed
    assert f"a last use cannot be stored ({error.__name__})" in caplog.text
    assert "hunter2" not in caplog.text


def test_counts_no_use_that_was_refused(api):
    token = NamedTokenFactory(is_active=False)
    assert api.call("GET", "/_/token", bearer=value_of(token)).status_code == 401
    assert not counters._uses


def test_writes_nothing_for_a_use(api):
    bearer = value_of(NamedTokenFactory(last_used_at=timezone.now()))
    with CaptureQueriesContext(connection) as captured:
        api.call("GET", "/_/token", bearer=bearer)
    assert [query["sql"] for query in captured if not query["sql"].startswith("SELECT")] == []


def test_stores_with_one_statement_for_each_credential():
    first, second = NamedTokenFactory(), PublisherFactory()
    for row in (first, second, first, first):
        lifecycle.note_use(row, now=NOW)
    with CaptureQueriesContext(connection) as captured:
        counters.flush()
    assert len([query for query in captured if query["sql"].startswith("UPDATE")]) == 2
    assert (uses(first), uses(second)) == (3, 1)


def test_adds_to_what_other_processes_have_stored():
    token = NamedTokenFactory(use_count=40)
    counters.count_use(token)
    NamedToken.objects.update(use_count=41)
    counters.flush()
    assert uses(token) == 42


def test_stores_a_use_once(api):
    token = NamedTokenFactory()
    counters.count_use(token)
    counters.flush()
    counters.flush()
    assert uses(token) == 1


def test_forgets_no_use_that_could_not_be_stored(monkeypatch):
    token, publisher = NamedTokenFactory(), PublisherFactory()
    counters.count_use(token), counters.count_use(publisher)

    def fail(**_):
        counters.count_use(publisher)  # somebody uses it meanwhile
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(NamedToken._default_manager, "filter", fail)
        with pytest.raises(OperationalError):
            counters.flush()
    assert (uses(token), uses(publisher)) == (0, 0)
    counters.flush()
    assert (uses(token), uses(publisher)) == (1, 2)


def test_is_stored_by_the_thread_in_the_background():
    token = NamedTokenFactory()
    counters.count_use(token)
    counters.tick([])
    assert uses(token) == 1
    assert not DailyCount.objects.exists()


def test_is_stored_by_a_worker_that_ends(monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    hooks = runpy.run_path(str(settings.BASE_DIR / "config" / "gunicorn.py"))
    token = NamedTokenFactory()
    counters.count_use(token)
    hooks["worker_exit"](None, None)
    assert uses(token) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_failing", [False, True], ids=["which succeeds", "which fails"])
def test_is_stored_by_a_worker_that_ends_while_its_thread_stores(monkeypatch, tmp_path, is_failing):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    hooks = runpy.run_path(str(settings.BASE_DIR / "config" / "gunicorn.py"))
    token, find = NamedTokenFactory(), NamedToken._default_manager.filter
    is_storing, has_ended = threading.Event(), threading.Event()

    def find_slowly(**conditions):
        if threading.current_thread() is not threading.main_thread():
            is_storing.set()
            if has_ended.wait(0.5) or is_failing:
                raise OperationalError
        return find(**conditions)

    def store():
        with suppress(OperationalError):
            counters.flush()
        connection.close()

    counters.count_use(token)
    monkeypatch.setattr(NamedToken._default_manager, "filter", find_slowly)
    thread = threading.Thread(target=store)
    thread.start()
    is_storing.wait(10)
    hooks["worker_exit"](None, None)
    has_ended.set()
    thread.join(10)
    assert uses(token) == 1


def test_says_what_a_worker_that_ends_cannot_store(monkeypatch, caplog):
    counters.count_use(NamedTokenFactory())
    monkeypatch.setattr(NamedToken._default_manager, "filter", lambda **_: connection.cursor().execute("no SQL"))
    counters.stop()
    assert "1 of them are lost" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_goes_on_in_the_background_whatever_happens(monkeypatch, caplog):
    turns = [OperationalError("the password is hunter2"), ValueError("x"), None]
    pauses = []

    def tick(models):
        turn = turns.pop(0)
        if turn is not None:
            raise turn

    def sleep(seconds):
        pauses.append(seconds)
        if not turns:
            raise SystemExit

    monkeypatch.setattr(counters, "tick", tick)
    connection = SimpleNamespace(close=lambda: None, settings_dict={"CONN_MAX_AGE": 0})
    monkeypatch.setattr(background, "connection", connection)
    monkeypatch.setattr(background, "time", SimpleNamespace(sleep=sleep))
    counters.start().join(10)
    assert pauses == [counters.FLUSH_SECONDS] * 3
    assert caplog.text.count("counts cannot be stored") == 1
    assert "hunter2" not in caplog.text
