"""The log: one line a request, never a credential."""

import logging
import sys

import orjson
import pytest
from django.db import InterfaceError, InternalError, OperationalError

from tests.core.wsgi import request
from tests.factories import ApiKeyFactory, NamedTokenFactory, secret_of, value_of
from tokens.core.operations import logs

pytestmark = pytest.mark.django_db


def lines(logged, path):
    return [line for line in map(orjson.loads, logged) if line.get("path") == path]


def test_has_one_line_per_request(logged):
    request("GET", "/auth/v1/ping", HTTP_X_REQUEST_ID="request-1234", REMOTE_ADDR="192.0.2.7")
    (line,) = map(orjson.loads, logged)
    assert line.pop("at").endswith("Z")
    assert line.pop("ms") > 0
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "request-1234",
        "method": "GET",
        "path": "/auth/v1/ping",
        "route": "/auth/v1/ping",
        "status": 200,
        "actor": None,
        "address": "192.0.2.7",
    }


def test_names_who_asked(logged):
    token = NamedTokenFactory()
    request("GET", "/_/token", HTTP_AUTHORIZATION=f"Bearer {value_of(token)}")
    assert lines(logged, "/_/token")[0]["actor"] == f"named_token:{token.pk}"


def test_names_who_exchanged_a_key_and_who_renewed_tokens(logged):
    key = ApiKeyFactory()
    pair = request("POST", "/auth/v1/key", orjson.dumps({"key": secret_of(key)})).json()
    renewed = request("POST", "/auth/v1/token/refresh", orjson.dumps(pair))
    assert renewed.status == 200
    assert lines(logged, "/auth/v1/key")[0]["actor"] == f"api_key:{key.pk}"
    assert lines(logged, "/auth/v1/token/refresh")[0]["actor"] == f"edi_token:{key.owner.edi_id}"


def test_leaves_the_query_out(logged):
    request("GET", "/_/token?access_token=hunter2hunter2")
    (line,) = logged
    assert b"hunter2" not in line


@pytest.mark.parametrize("path", ["/token/{}", "/{}", "/auth/v1/key/{}", "/_/token/value/{}", "/admin/x/{}"])
def test_leaves_out_a_credential_in_the_path(logged, path):
    secret = value_of(NamedTokenFactory())
    request("GET", path.format(secret))
    assert logged
    assert not any(piece.encode() in line for line in logged for piece in secret.split("."))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_keeps_quiet_of_machines_that_look_every_few_seconds(logged, path, snapshot, monkeypatch):
    monkeypatch.setattr("edi_auth.revocations.snapshot", snapshot)
    snapshot.renew()
    assert request("GET", path).status == 200
    assert logged == []


def test_tells_of_a_fault_once_with_its_traceback_and_once_as_a_request(logged, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("a clue")

    monkeypatch.setattr("edi_auth.services.exchange", fail)
    assert request("POST", "/auth/v1/key", b'{"key": "unknown"}', HTTP_X_REQUEST_ID="request-1234").status == 500
    fault, line = map(orjson.loads, logged)
    assert (fault["level"], line["level"], line["status"]) == ("error", "info", 500)
    assert "a clue" in fault["exception"]
    assert "request-1234" in fault["event"]


def test_tells_once_of_a_fault_in_a_page(logged, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("a clue")

    monkeypatch.setattr("django.template.response.SimpleTemplateResponse.rendered_content", property(fail))
    assert request("GET", "/admin/login/").status == 500
    assert sum(b"a clue" in line for line in logged) == 1


@pytest.mark.parametrize("outage", [OperationalError, InterfaceError, InternalError])
def test_takes_an_outage_of_the_database_for_no_fault_of_a_page(logged, monkeypatch, outage):
    def fail(*args, **kwargs):
        raise outage("secret-host")

    monkeypatch.setattr("django.template.response.SimpleTemplateResponse.rendered_content", property(fail))
    assert request("GET", "/admin/login/").status == 503
    assert not [line for line in logged if b"Traceback" in line or b"secret-host" in line]


@pytest.mark.parametrize("outage", [OperationalError, InterfaceError, InternalError])
def test_tells_of_an_outage_of_the_database_in_one_line_besides_that_of_the_request(logged, monkeypatch, outage):
    def fail(*args, **kwargs):
        raise outage("secret-host")

    monkeypatch.setattr("edi_auth.services.exchange", fail)
    assert request("POST", "/auth/v1/key", b'{"key": "unknown"}', HTTP_X_REQUEST_ID="request-1234").status == 503
    told, line = map(orjson.loads, logged)
    assert (told["level"], told["event"]) == (
        "warning",
        f"database unavailable ({outage.__name__}), request request-1234",
    )
    assert line["status"] == 503


def test_serves_on_when_the_log_cannot_be_written(monkeypatch):
    def fail(line):
        raise OSError(28, "No space left on device")

    logs.configure("json", write=fail)
    try:
        assert request("GET", "/auth/v1/ping").status == 200
    finally:
        logs.configure("json")


def test_can_be_read_by_people():
    written = []
    logs.configure("text", write=written.append)
    try:
        request("GET", "/auth/v1/ping")
        text = logs.formatter("text").format(logging.makeLogRecord({"msg": "a word", "name": "x", "levelname": "INFO"}))
    finally:
        logs.configure("json")
    assert b"route" in written[0]
    assert b"/auth/v1/ping" in written[0]
    assert "a word" in text


@pytest.mark.parametrize("text", ["/\x1b[31m", "/\x9b31m", "/\u202e", "/\x1b]0;title\x07", "/a\nb", "/a\rb"])
def test_writes_nothing_that_a_terminal_would_obey(text):
    written = []
    logs.configure("text", write=written.append)
    try:
        logs.requests.info("request", path=text)
    finally:
        logs.configure("json")
    (line,) = written
    assert line.decode().rstrip("\n").isprintable()
    record = logging.LogRecord("registry", logging.WARNING, __file__, 1, "%s", (text,), None)
    assert logs.formatter("text").format(record).isprintable()


def test_tells_of_a_host_that_is_not_allowed_in_one_line(logged):
    assert request("GET", "/admin/login/", HTTP_HOST="evil.example").status == 400
    told = [line for line in map(orjson.loads, logged) if line["event"] != "request"]
    assert ["ALLOWED_HOSTS" in line["event"] for line in told] == [True]
    assert "exception" not in told[0]


def test_puts_a_traceback_into_one_line():
    try:
        int("a clue")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    line = logs.formatter("json").format(record)
    assert "\n" not in line
    assert "a clue" in orjson.loads(line)["exception"]


def test_would_notice_a_secret(logged):
    key = ApiKeyFactory()
    logging.getLogger("tokens").warning("the key is %s", secret_of(key))
    assert any(secret_of(key).encode() in line for line in logged)
    logged.clear()
