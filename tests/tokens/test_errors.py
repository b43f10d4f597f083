"""How `/_/token` speaks of what went wrong (the contract, "For all three" and "`/_/token`")."""

import io
from datetime import UTC, datetime
from urllib.parse import quote
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.signals import request_finished, request_started
from django.db import OperationalError, close_old_connections

from config.wsgi import application
from tests.factories import NamedTokenFactory, value_of
from tests.tokens.tools import everything_stored
from tokens.core import throttling
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

LIMIT = 64 * 1024
BODIES = ["POST", "PUT", "DELETE"]
CALLS = [
    ("POST", "/_/token", {"name": "new"}),
    ("GET", "/_/token", None),
    ("PUT", "/_/token", {"name": "bearer", "active": True}),
    ("DELETE", "/_/token", {"name": "bearer"}),
    ("GET", "/_/token/value?name=bearer", None),
]
SERVICES = ["mint", "listing", "update", "revoke", "value"]
NOT_MILLISECONDS = ["1632960000000", "", 1632960000000.5, 1632960000000.001, True, False, [], [1632960000000], {}]
NOT_TRUTH_VALUES = ["true", "", 0, 1, 1.0, None, [], [True], {}]
NOT_NAMES = [None, True, 0, 1.5, [], ["name"], {}, {"name": "name"}, ""]
ELSEWHERE = [
    "/_",
    "/_/",
    "/_/token/",
    "/_/token/value/",
    "/_/tokens",
    "/_/token/bearer",
    "/_/token.json",
    "/_/token;x=1",
    "/_/TOKEN",
    "/_/%00",
    "/_/%FF",
    "/_/%F0%9F%8E%89",
    "/_/" + "x" * 5000,
    "/_/token%0A",
    "/_/token/%0A",
    "/_/one%0Atwo",
]


def error_of(response, status):
    """The sentence of an error that is in the dialect."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert list(response.json()) == ["error"]
    message = response.json()["error"]
    assert isinstance(message, str)
    assert message.strip()
    return message


@pytest.fixture
def failures(time_machine):
    """Counted from none, within one minute."""
    time_machine.move_to(datetime(2027, 1, 15, 12, 0, 30, tzinfo=UTC), tick=False)
    throttling.forget()
    yield
    throttling.forget()


@pytest.fixture
def serve():
    """Status and body of a request that comes through the WSGI application itself."""

    def serve(environ, body=b""):
        environ = environ | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        setup_testing_defaults(environ)
        statuses = []
        response = application(environ, lambda status, headers, exc_info=None: statuses.append(int(status[:3])))
        content = b"".join(response)
        response.close()
        return statuses[0], content

    # It would close the connection, and end the transaction of the test.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield serve
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize(
    ("status", "method", "path", "body"),
    [
        (400, "POST", "/_/token", {}),
        (400, "GET", "/_/token/value", None),
        (403, "DELETE", "/_/token", {"name": "example"}),
        (404, "PUT", "/_/token", {"name": "nobody"}),
        (404, "GET", "/_/nowhere", None),
        (405, "PATCH", "/_/token", None),
        (409, "POST", "/_/token", {"name": "example"}),
        (413, "POST", "/_/token", b" " * (LIMIT + 1)),
    ],
)
def test_says_what_went_wrong_in_one_sentence(api, bearer, status, method, path, body):
    NamedTokenFactory(name="example")
    reader = value_of(NamedTokenFactory(can_write=False))
    error_of(api.call(method, path, body, bearer=reader if status == 403 else bearer), status)


def test_says_so_without_a_bearer_too(api, db):
    error_of(api.call("GET", "/_/token"), 401)


@pytest.mark.parametrize("method", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"}",
        b" ",
        b"name=example",
        b"{'name': 'example'}",
        b'{"name": "example",}',
        b'{"name": "example"} {"name": "example"}',
        b'{"name": "example", "expiration_date": NaN}',
        b'{"name": "example", "expiration_date": Infinity}',
        b'{"name": "exa\nmple"}',
        b'{"name": "exa\x00mple"}',
        b'{"name": "\\ud800"}',
        b'{"name": "\\udc00\\ud800"}',
        b'{"name": "\xff"}',
        b'{"\xff": "example"}',
        b'{"name": "\xed\xa0\x80"}',
        b"\x00",
        b"\x1f\x8b\x08\x00",
        b'\xef\xbb\xbf{"name": "example"}',
        '{"name": "example"}'.encode("utf-16"),
        '{"name": "größe"}'.encode("latin-1"),
        b'{"name": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"name":' * 8_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_refuses_malformed_json(api, bearer, method, body):
    assert error_of(api.call(method, "/_/token", body, bearer=bearer), 400) == "The body is not valid JSON."


@pytest.mark.parametrize("method", BODIES)
@pytest.mark.parametrize("body", [b"null", b"true", b"7", b'"name"', b"[]", b'[{"name": "example"}]'])
def test_refuses_a_body_that_is_not_an_object(api, bearer, method, body):
    assert error_of(api.call(method, "/_/token", body, bearer=bearer), 400) == "The body must be a JSON object."


@pytest.mark.parametrize("method", BODIES)
@pytest.mark.parametrize("body", [None, b"{}", b'{"active": true}'], ids=["no body", "no field", "another field"])
def test_names_the_field_that_is_missing(api, bearer, method, body):
    message = error_of(api.call(method, "/_/token", body, bearer=bearer), 400)
    if method == "DELETE" and body == b'{"active": true}':
        assert message == "active: is not a field of this call."
    else:
        assert message == "name: is required."


@pytest.mark.parametrize(
    ("method", "field", "value"),
    [
        *((method, "name", value) for method in BODIES for value in NOT_NAMES),
        *((method, "expiration_date", value) for method in ("POST", "PUT") for value in NOT_MILLISECONDS),
        *(
            (method, field, value)
            for method in ("POST", "PUT")
            for field in ("active", "write")
            for value in NOT_TRUTH_VALUES
        ),
    ],
)
def test_names_the_field_of_the_wrong_type(api, bearer, method, field, value):
    body = {"name": "bearer"} | {field: value}
    assert error_of(api.call(method, "/_/token", body, bearer=bearer), 400).startswith(f"{field}: ")


@pytest.mark.parametrize("depth", [1, 100, 1000])
def test_names_the_field_that_is_nested_deeply(api, bearer, depth):
    body = b'{"name": ' + b'{"name": ' * depth + b"1" + b"}" * depth + b"}"
    assert error_of(api.call("POST", "/_/token", body, bearer=bearer), 400).startswith("name: ")


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("seconds", [0, 1, -1, 1632960000, 10**11 - 1, -1632960000000, -(2**63)])
def test_says_that_a_date_is_in_seconds_by_mistake(api, bearer, method, seconds):
    body = {"name": "bearer", "expiration_date": seconds}
    message = error_of(api.call(method, "/_/token", body, bearer=bearer), 400)
    assert message.startswith("expiration_date: ")
    assert "seconds" in message.replace("milliseconds", "")
    assert "milliseconds" in message


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("moment", ["253402300800000", "9007199254740993", str(2**63), str(2**64), "1" + "0" * 30])
def test_names_the_date_that_is_too_far(api, bearer, method, moment):
    body = b'{"name": "bearer", "expiration_date": %s}' % moment.encode()
    assert error_of(api.call(method, "/_/token", body, bearer=bearer), 400).startswith("expiration_date: ")


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "number", ["9" * 400, "9" * 60_000, "-" + "9" * 5_000, "1e400", "1e999999999"], ids=lambda n: n[:9]
)
def test_refuses_a_number_beyond_all_numbers(api, bearer, method, number):
    body = b'{"name": "bearer", "expiration_date": %s}' % number.encode()
    error_of(api.call(method, "/_/token", body, bearer=bearer), 400)


@pytest.mark.parametrize(
    "char", ["\0", "\x01", "\t", "\n", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x85", "\x9f"], ids=repr
)
@pytest.mark.parametrize("place", ["{}name", "na{}me", "name{}"])
def test_names_the_field_with_a_control_character(api, bearer, char, place):
    name = place.format(char)
    answers = [api.call(method, "/_/token", {"name": name}, bearer=bearer) for method in BODIES]
    answers.append(api.call("GET", f"/_/token/value?name={quote(name)}", bearer=bearer))
    assert {error_of(answer, 400) for answer in answers} == {"name: must not contain control characters."}
    after = api.call("GET", f"/_/token?after={quote(name)}", bearer=bearer)
    assert error_of(after, 400) == "after: must not contain control characters."


@pytest.mark.parametrize("name", ["x" * 256, "x" * 60_000, "\N{PARTY POPPER}" * 256], ids=lambda name: str(len(name)))
def test_names_the_field_that_is_too_long(api, bearer, name):
    answers = [api.call(method, "/_/token", {"name": name}, bearer=bearer) for method in BODIES]
    answers.append(api.call("GET", f"/_/token/value?name={quote(name)}", bearer=bearer))
    assert {error_of(answer, 400) for answer in answers} == {"name: must have at most 255 characters."}


@pytest.mark.parametrize("method", BODIES)
@pytest.mark.parametrize(
    "field",
    [
        "expiration_dat",
        "expirationDate",
        "expires_at",
        "is_active",
        "Name",
        "name ",
        "token",
        "state",
        "created_at",
        "updated_at",
        "last_used_at",
        "subject",
        "id",
        "\0",
        "größe",
        "__class__",
        "non_field_errors",
    ],
    ids=repr,
)
def test_names_a_field_that_is_not_documented(api, bearer, method, field):
    message = error_of(api.call(method, "/_/token", {"name": "bearer", field: None}, bearer=bearer), 400)
    assert message == f"{field}: is not a field of this call."


@pytest.mark.parametrize("field", ["", "x" * 60_000], ids=["empty", "long"])
def test_names_a_field_in_a_short_sentence(api, bearer, field):
    message = error_of(api.call("PUT", "/_/token", {"name": "bearer", field: None}, bearer=bearer), 400)
    assert message.endswith("is not a field of this call.")
    assert len(message) < 200


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
@pytest.mark.parametrize("method", BODIES)
def test_reads_64_kib_and_no_more(api, bearer, method, size):
    body = b'{"name": "bearer"'.ljust(size - 1) + b"}"
    response = api.call(method, "/_/token", body, bearer=bearer)
    if size <= LIMIT:
        assert response.status_code == {"POST": 409, "PUT": 200, "DELETE": 200}[method]
    else:
        assert "64 KiB" in error_of(response, 413)
        assert NamedToken.objects.filter(revoked_at__isnull=True).exists()


@pytest.mark.parametrize("path", ["/_/token", "/_/token/value?name=bearer", "/_/nowhere"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_refuses_too_large_a_body_wherever_it_is_sent(api, bearer, method, path):
    error_of(api.call(method, path, b"x" * (LIMIT + 1), bearer=bearer), 413)


@pytest.mark.parametrize("length", ["99999999999", "9" * 400, "65537"], ids=lambda length: length[:9])
def test_believes_a_length_that_is_too_large(api, bearer, length):
    headers = {"Authorization": f"Bearer {bearer}"}
    error_of(api.generic("POST", "/_/token", b"{}", headers=headers, CONTENT_LENGTH=length), 413)


def test_says_that_a_body_did_not_arrive(api, bearer):
    class BrokenStream(io.BytesIO):
        def read(self, *args):
            raise OSError("connection reset")

    headers = {"Authorization": f"Bearer {bearer}"}
    response = api.generic("POST", "/_/token", b"{}", headers=headers, **{"wsgi.input": BrokenStream()})
    assert "did not arrive" in error_of(response, 408)


@pytest.mark.parametrize("path", ELSEWHERE, ids=lambda path: path[:20])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml"], ids=["any", "html"])
def test_speaks_the_dialect_where_there_is_nothing(api, bearer, method, path, accept):
    response = api.call(method, path, {"name": "bearer"}, bearer=bearer, headers={"Accept": accept})
    assert error_of(response, 404) == "There is nothing here."
    assert "Location" not in response.headers


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND", "NONSENSE", "Ü"])
def test_names_the_methods_that_there_are(api, bearer, method):
    response = api.call(method, "/_/token", {"name": "bearer"}, bearer=bearer)
    assert error_of(response, 405) == f'Method "{method}" not allowed.'
    assert response.headers["Allow"] == "GET, POST, PUT, DELETE, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/_/token", "/_/token/value?name=bearer", "/_/nowhere"])
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("body", [None, {"name": "bearer", "active": False}], ids=["no body", "body"])
def test_changes_nothing_by_a_method_that_only_asks(api, bearer, method, path, body):
    before = everything_stored()
    response = api.call(method, path, body, bearer=bearer)
    assert response.status_code == (404 if path == "/_/nowhere" else 200 if method == "HEAD" else 204)
    assert everything_stored() == before


@pytest.mark.parametrize("path", ["/_/token", "/_/token/value"])
def test_tells_the_methods_to_anybody(api, db, path):
    response = api.call("OPTIONS", path)
    assert response.status_code == 204
    assert set(response.headers["Allow"].split(", ")) >= {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("method", "path", "body"), [*CALLS, ("HEAD", "/_/token", None), ("OPTIONS", "/_/token", None)]
)
def test_keeps_every_answer_out_of_caches(api, bearer, method, path, body):
    response = api.call(method, path, body, bearer=bearer)
    assert response.status_code < 300
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "accept", ["application/xml", "text/html", "image/png", "nonsense", "", "application/json;q=0"]
)
def test_answers_in_json_whatever_is_accepted(api, bearer, accept):
    response = api.call("GET", "/_/token", bearer=bearer, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("service", "call"), list(zip(SERVICES, CALLS, strict=True)), ids=SERVICES)
@pytest.mark.parametrize("error", [RuntimeError, KeyError, AssertionError, MemoryError, RecursionError, UnicodeError])
def test_reveals_nothing_of_a_mistake_of_its_own(api, bearer, monkeypatch, service, call, error):
    def fail(*args, **kwargs):
        raise error("a secret that nobody may see")

    monkeypatch.setattr(f"tokens.services.{service}", fail)
    api.raise_request_exception = False
    method, path, body = call
    assert error_of(api.call(method, path, body, bearer=bearer), 500) == "Internal server error"


@pytest.mark.parametrize(
    ("service", "call"),
    [*zip(SERVICES, CALLS, strict=True), ("note_use", CALLS[1])],
    ids=[*SERVICES, "note_use"],
)
def test_asks_to_try_again_when_the_database_is_away(api, bearer, monkeypatch, service, call):
    def fail(*args, **kwargs):
        raise OperationalError("could not connect to server db.internal as user registry")

    monkeypatch.setattr(f"tokens.services.{service}", fail)
    method, path, body = call
    response = api.call(method, path, body, bearer=bearer)
    assert "internal" not in error_of(response, 503)
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_asks_to_try_again_when_it_cannot_look_a_bearer_up(api, bearer, monkeypatch, method, path, body):
    def fail(*args, **kwargs):
        raise OperationalError("could not connect to server db.internal as user registry")

    monkeypatch.setattr("django.db.models.query.QuerySet._fetch_all", fail)
    monkeypatch.setattr("tokens.core.prepared._Written.run", fail)
    assert "internal" not in error_of(api.call(method, path, body, bearer=bearer), 503)


def test_asks_for_patience_whoever_fails_too_often(api, bearer, settings, failures):
    settings.MAX_FAILURES = 3
    for _ in range(3):
        error_of(api.call("GET", "/_/token", bearer="guessed"), 401)
    response = api.call("GET", "/_/token", bearer="guessed")
    assert error_of(response, 429)
    assert 0 < int(response.headers["Retry-After"]) <= 60


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_says_that_the_secret_is_not_configured(api, bearer, settings, method, path, body):
    settings.TOKENS_SECRET_KEY = ""
    assert error_of(api.call(method, path, body, bearer=bearer), 500) == "The server is not configured for this call."


@pytest.mark.parametrize("path", ["/_/token?", "/_/token/value?name=bearer&"])
@pytest.mark.parametrize(
    "query", ["a&" * 1001, "limit=1&" * 1001, "&" * 4000, "%" * 4000, "a[b]=1", ";", "=", "%FF=%FF"]
)
def test_survives_any_query(api, bearer, path, query):
    api.raise_request_exception = False
    assert api.call("GET", path + query, bearer=bearer).status_code < 500


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "text/plain; charset=nonsense",
        "text/plain; charset=utf-16",
        "text/plain; charset=utf-7",
        "text/plain; charset=unicode_escape",
        "text/plain; charset=rot13",
        "text/plain; charset=undefined",
        "text/plain; charset=idna",
        "text/plain; name*=nonsense''x",
        "text/plain; name*=undefined''x",
        "text/plain; name*0=x; name*=y",
        "multipart/form-data; boundary=\xff",
        ";" * 5000,
    ],
    ids=lambda value: value[:40],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_survives_any_content_type(serve, bearer, method, content_type):
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": "/_/token",
        "QUERY_STRING": "limit=1",
        "CONTENT_TYPE": content_type,
        "HTTP_AUTHORIZATION": f"Bearer {bearer}",
    }
    status, content = serve(environ, '{"name": "größe"}'.encode() if method == "POST" else b"")
    assert status == (201 if method == "POST" else 200), content
    assert ("größe" if method == "POST" else "bearer") in content.decode()


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_reads_64_kib_of_a_chunked_body_and_no_more(serve, bearer, size):
    environ = {
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": "/_/token",
        "HTTP_AUTHORIZATION": f"Bearer {bearer}",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input_terminated": True,
    }
    status, _ = serve(environ, b'{"name": "bearer"'.ljust(size - 1) + b"}")
    assert status == (200 if size <= LIMIT else 413)


@pytest.mark.parametrize(
    "forwarded",
    [
        "",
        ",",
        "nonsense",
        "10.0.0.1",
        "::1",
        "::ffff:10.0.0.1",
        "fe80::1%eth0",
        "fe80::1%" + "x" * 100,
        "1" * 5000,
        "\0",
        "\xff",
    ],
    ids=lambda value: repr(value[:20]),
)
def test_survives_any_address(api, bearer, settings, forwarded):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    api.raise_request_exception = False
    response = api.call("POST", "/_/token", {"name": "new"}, bearer=bearer, headers={"X-Forwarded-For": forwarded})
    assert response.status_code == 201
    assert len(AuditEvent.objects.get().address or "") <= 39
