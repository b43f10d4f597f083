"""`manage.py notify_expiring`: who is told what, when, and how often."""

import hashlib
import hmac
import http.server
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.db import connection

from tests.factories import (
    ApiKeyFactory,
    GroupFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    ProfileFactory,
    PublisherFactory,
)
from tokens.core import kinds
from tokens.core.models import Notice
from tokens.core.operations import notices

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
END = NOW + timedelta(days=100)


@pytest.fixture(autouse=True)
def ways(settings):
    """Mail to the operators."""
    settings.EMAIL_HOST = "mail.example.org"
    settings.NOTIFY_EMAILS = ["operators@example.org"]


@pytest.fixture
def token():
    return NamedTokenFactory(name="ci", expires_at=END)


def run_before(**left):
    """One run so long before the end: how many were told."""
    mail.outbox.clear()
    return notices.notify(END - timedelta(**left)).sent


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ({"days": 31}, 0),
        ({"days": 30, "seconds": 1}, 0),
        ({"days": 30}, 1),
        ({"days": 20}, 1),
        ({"days": 1}, 1),
        ({"seconds": 0}, 1),
        ({"days": -29}, 1),
        ({"days": -30}, 0),
    ],
)
def test_tells_within_thirty_days(token, left, told):
    assert run_before(**left) == told


def test_tells_at_each_stage_and_never_twice(token):
    days = [40, 31, 30, 30, 29, 8, 7, 6, 2, 1, 1, 0, -1]
    assert [day for day in days if run_before(days=day)] == [30, 7, 1]


@pytest.mark.parametrize(
    ("days", "told"),
    [([30, 7, 1], [30, 7, 1]), ([20, 3], [20, 3]), ([20, 19, 7], [20, 7]), ([3, 2, 1], [3, 1]), ([40, -5], [-5])],
)
def test_a_missed_run_delays_and_never_skips(token, days, told):
    assert [day for day in days if run_before(days=day)] == told


def test_tells_of_another_end_anew(token):
    assert run_before(days=30) == 1
    token.expires_at = END + timedelta(days=30)
    token.save()
    assert run_before(days=0) == 1


def test_says_what_expires_and_when(token):
    run_before(days=7)
    (message,) = mail.outbox
    assert message.to == ["operators@example.org"]
    assert message.subject == "Named token ci expires in 7 days (2027-03-02 12:00 UTC)"
    assert "Extend it" in message.body


def test_tells_the_owner_who_takes_mail():
    ApiKeyFactory(expires_at=END, owner=ProfileFactory(email="jane@example.org", is_email_enabled=True))
    run_before(days=7)
    assert [message.to for message in mail.outbox] == [["jane@example.org"]]


def test_tells_the_operators_where_the_owner_takes_none():
    ApiKeyFactory(expires_at=END, owner=ProfileFactory(email="jane@example.org", is_email_enabled=False))
    run_before(days=7)
    assert [message.to for message in mail.outbox] == [["operators@example.org"]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: NamedTokenFactory(expires_at=END, revoked_at=NOW),
        lambda: NamedTokenFactory(expires_at=END, is_active=False),
        NamedTokenFactory,
        lambda: ApiKeyFactory(expires_at=END, owner=ProfileFactory(locked_at=NOW)),
        lambda: PerformanceTokenFactory(expires_at=END),
    ],
    ids=["revoked", "off", "for ever", "locked", "performance token"],
)
def test_tells_of_nothing_that_nobody_would_miss(make):
    make()
    assert run_before(days=1) == 0


def test_advises_nothing_that_leaves_the_end_where_it_is(token):
    run_before(days=1)
    assert "otate" not in mail.outbox[0].body


def test_tells_of_every_kind_that_lasts():
    for factory in (NamedTokenFactory, PublisherFactory, ApiKeyFactory):
        factory(expires_at=END)
    assert run_before(days=1) == 3


@pytest.mark.parametrize("factory", [NamedTokenFactory, PublisherFactory, ApiKeyFactory])
def test_cannot_be_led_into_another_header(factory):
    factory(name="x" * 200, expires_at=END)
    run_before(days=1)
    assert "\n" not in mail.outbox[0].subject


def test_tries_again_what_could_not_be_sent(token, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
        outcome = notices.notify(END - timedelta(days=7))
    assert (outcome.sent, outcome.failed) == (0, 1)
    assert Notice.objects.get().failure == "ConnectionRefusedError"
    assert run_before(days=7) == 1
    assert run_before(days=7) == 0


def test_asks_no_more_of_many_that_were_told_than_of_few(django_assert_num_queries):
    ApiKeyFactory.create_batch(10, expires_at=END)
    ApiKeyFactory.create_batch(10, expires_at=END, group=GroupFactory())
    assert run_before(days=7) == 20
    told_of = [kind for kind in kinds.all_kinds() if kind.model is not None and kind.notifies]
    with django_assert_num_queries(1 + len(told_of)):
        assert run_before(days=6) == 0


def test_leaves_alone_what_another_run_is_sending(token):
    now = END - timedelta(days=7)
    (expiry,) = notices.expiring(now)
    notices._claimed(expiry, "mail", now=now)
    assert run_before(days=7) == 0
    assert run_before(days=7, minutes=-9) == 0
    assert run_before(days=7, minutes=-10) == 1


@pytest.fixture
def hook(settings):
    """A webhook that keeps what it gets; `hook.status` is what it answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append((self.headers, body))
            self.send_response(server.status)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.status = [], 204
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    settings.NOTIFY_WEBHOOK_URL = f"http://127.0.0.1:{server.server_port}/expiring"
    settings.NOTIFY_WEBHOOK_SECRET = "a-secret-of-the-webhook"
    settings.EMAIL_HOST = ""
    yield server
    server.shutdown()
    server.server_close()


def test_posts_a_signed_document(token, hook):
    assert run_before(days=7) == 1
    ((headers, body),) = hook.got
    assert json.loads(body) == {
        "event": "credential.expiring",
        "kind": "named_token",
        "id": str(token.pk),
        "label": "ci",
        "expires_at": "2027-03-02T12:00:00+00:00",
        "days": 7,
    }
    moment, _, signature = headers["X-Registry-Signature"].partition(",v1=")
    signed = f"{moment.removeprefix('t=')}.".encode() + body
    assert signature == hmac.new(b"a-secret-of-the-webhook", signed, hashlib.sha256).hexdigest()


def test_posts_again_what_was_not_accepted(token, hook):
    hook.status = 500
    assert run_before(days=7) == 0
    hook.status = 204
    assert run_before(days=7) == 1
    assert len(hook.got) == 2


@pytest.fixture
def rubbish(settings):
    """A webhook that answers in no HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.NOTIFY_WEBHOOK_URL = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        def answer():
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    client.recv(65536)
                    client.sendall(b"rubbish\r\n\r\n")
                    client.close()

        threading.Thread(target=answer, daemon=True).start()
        yield


def test_goes_on_with_the_others_whatever_one_way_answers(token, rubbish):
    other = NamedTokenFactory(name="cd", expires_at=END)
    outcome = notices.notify(END - timedelta(days=7))
    assert (outcome.sent, outcome.failed) == (2, 2)
    failures = Notice.objects.filter(channel="webhook", sent_at=None).values_list("object_id", "failure")
    assert dict(failures) == {str(row.pk): "BadStatusLine" for row in (token, other)}


@pytest.mark.django_db(transaction=True)
def test_tells_once_though_two_runs_begin_together(settings, monkeypatch):
    tokens = [NamedTokenFactory(expires_at=END) for _ in range(10)]
    told, together = [], threading.Barrier(4)
    monkeypatch.setattr(notices, "send_mail", lambda expiry, now: told.append(expiry.row.pk))

    def run():
        together.wait(timeout=10)
        try:
            return notices.notify(END - timedelta(days=7)).sent
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as runs:
        sent = [each.result() for each in [runs.submit(run) for _ in range(4)]]
    assert sorted(told) == [token.pk for token in tokens]
    assert sum(sent) == len(tokens)


def test_tells_by_each_way_once(token, hook, settings):
    settings.EMAIL_HOST = "mail.example.org"
    hook.status = 500
    assert run_before(days=7) == 1
    hook.status = 204
    assert run_before(days=7) == 1
    assert mail.outbox == []


@pytest.mark.parametrize(("status", "code"), [(204, 0), (500, 1)])
def test_tells_its_caller_whether_all_went_out(manage, hook, status, code):
    NamedTokenFactory(expires_at=datetime.now(UTC) + timedelta(days=3))
    hook.status = status
    outcome = manage("notify_expiring", "--json")
    assert outcome.code == code
    assert outcome.document == {"sent": 1 - code, "failed": code}
