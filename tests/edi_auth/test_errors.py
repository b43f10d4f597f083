"""What goes wrong below /auth/v1 (the document "Token and API key API", its status codes; RFC 9110 for the rest)."""

import io
import json

import pytest
from django.core.signals import request_started
from django.db import OperationalError

from config.wsgi import Application
from edi_auth import services
from edi_auth.models import ApiKey
from tests.edi_auth.forge import KEY, REFRESH, edi, pasta
from tests.factories import ApiKeyFactory, secret_of
from tokens.core import throttling

PING = "/auth/v1/ping"
METHODS = {KEY: "getTokenByKey", REFRESH: "refreshToken"}
BODIES = {KEY: {"key": "unknown"}, REFRESH: {"pasta-token": "x-x", "edi-token": "x.x.x"}}
ROUTES = pytest.mark.parametrize("path", METHODS)
LIMIT = 64 * 1024


@pytest.fixture
def api(api):
    """A client that takes a 500 for an answer, as a real one does."""
    api.raise_request_exception = False
    return api


def fail(monkeypatch, exc):
    """Have whatever is asked of the services fail."""

    def raise_it(*args, **kwargs):
        raise exc

    monkeypatch.setattr(services, "exchange", raise_it)
    monkeypatch.setattr(services, "refresh", raise_it)


def bad_request(api, path, **options):
    return api.call("POST", path, {}, **options)


def unauthorized(api, path, **options):
    return api.call("POST", path, BODIES[path], **options)


def forbidden(api, path, **options):
    key = ApiKeyFactory(is_active=False)
    body = {KEY: {"key": secret_of(key)}, REFRESH: {"pasta-token": pasta("x*y*1"), "edi-token": edi()}}[path]
    if path == REFRESH:
        body["pasta-token"] = pasta("uid=other*https://pasta.edirepository.org/authentication*1")
    return api.call("POST", path, body, **options)


def not_allowed(api, path, **options):
    return api.call("PUT", path, BODIES[path], **options)


def too_large(api, path, **options):
    return api.call("POST", path, b"x" * (LIMIT + 1), **options)


ERRORS = pytest.mark.parametrize(
    ("ask", "status"),
    [(bad_request, 400), (unauthorized, 401), (forbidden, 403), (not_allowed, 405), (too_large, 413)],
    ids=[400, 401, 403, 405, 413],
)


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
@ROUTES
@ERRORS
def test_speaks_its_dialect_in_json(api, path, ask, status):
    response = ask(api, path)
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert list(body) == ["msg", "method"]
    assert body["method"] == METHODS[path]
    assert body["msg"]


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
@ROUTES
@ERRORS
@pytest.mark.parametrize("accept", ["application/xml", "text/xml"])
def test_speaks_its_dialect_in_xml(api, parse_xml, path, ask, status, accept):
    response = ask(api, path, headers={"Accept": accept})
    assert response.status_code == status
    assert response["Content-Type"].startswith(accept)
    assert parse_xml(response) == ask(api, path).json()


FORMATS = pytest.mark.parametrize("headers", [{}, {"Accept": "text/xml"}], ids=["json", "xml"])


@FORMATS
@pytest.mark.parametrize(
    "path",
    [
        "/auth/v1",
        "/auth/v1/",
        "/auth/v1/nothing",
        "/auth/v1/token",
        "/auth/v1/key/",
        "/auth/v1/token/refresh/",
        "/auth/v1/ping/",
        "/auth/v1/KEY",
        "/auth/v1//key",
        "/auth/v1/key/x/y/z",
        "/auth/v1/%00",
        "/auth/v1/%ff",
        "/auth/v1/key%0A",
        "/auth/v1/a%0Ab",
        "/auth/v1/<b>&amp;",
        "/auth/v1/../admin",
    ],
)
def test_speaks_its_dialect_where_there_is_nothing(api, parse_xml, path, headers):
    response = api.call("POST", path, {"key": "x"}, headers=headers)
    assert response.status_code == 404
    body = parse_xml(response) if headers else response.json()
    assert body.keys() == {"msg", "method"}
    assert response["Cache-Control"] == "no-store"


@FORMATS
@pytest.mark.parametrize("verb", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"])
def test_says_that_there_is_nothing_whatever_the_method(api, parse_xml, verb, headers):
    response = api.call(verb, "/auth/v1/nothing", {"key": "x"}, headers=headers)
    assert response.status_code == 404
    assert (parse_xml(response) if headers else response.json()).keys() == {"msg", "method"}


@pytest.mark.parametrize("path", [f"{KEY}/", f"{REFRESH}/", f"{PING}/"])
def test_redirects_nobody(api, path):
    response = api.call("POST", path, {"key": "x"})
    assert response.status_code == 404
    assert not response.has_header("Location")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "",
        "application/json",
        "application/*",
        "text/html",
        "text/plain",
        "image/png",
        "application/json, application/xml",
        "application/json, application/xml;q=0.9",
        "application/xml;q=0.1, application/json;q=0.2",
        "application/xml;q=0, text/xml;q=0.0",
        "*/*, application/xml;q=0",
        "application/xmlx",
        "application/soap+xml",
        "json",
        "xml",
        ",",
        ";",
        "/",
        "*",
        ";q=1",
        "application/json;q=x",
        "a/b;c=" + '"' * 50,
        "text/plain; x*=nonsense''y",
        "text/plain; x*=idna''%41",
        "text/plain; x*0*=utf-8''%ff; x*2*=z",
        "\xe9/\xff;\xfe=\xfd",
        "x" * 9000,
        ",".join(["a/b;q=0.1"] * 900),
    ],
    ids=lambda accept: repr(accept)[:40],
)
def test_gives_json_for_any_other_accept(api, accept):
    response = api.call("POST", KEY, {"key": secret_of(ApiKeyFactory())}, headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "accept",
    [
        "application/xml",
        "text/xml",
        "Application/XML",
        "application/xml, application/json;q=0.9",
        "application/json;q=0.5, text/xml;q=0.7",
        "text/html, application/xml;q=0.9, */*;q=0.1",
        "application/xml, */*;q=0.8",
        "application/xml;charset=utf-8",
        "application/xml; q=1.0",
    ],
)
def test_gives_xml_where_accept_asks_for_it(api, parse_xml, accept):
    response = api.call("POST", KEY, {"key": secret_of(ApiKeyFactory())}, headers={"Accept": accept})
    assert response.status_code == 200
    assert parse_xml(response)["method"] == "getTokenByKey"


@pytest.mark.parametrize(("verb", "shown"), [('A<B&"', 'A<B&"'), ("A\x01\x1bB\ufffe", "AB")])
def test_writes_xml_that_can_be_read_whatever_was_sent(api, parse_xml, verb, shown):
    response = api.call(verb, KEY, headers={"Accept": "text/xml"})
    assert response.status_code == 405
    assert f'"{shown}"' in parse_xml(response)["msg"]


FIELDS = pytest.mark.parametrize(("path", "name"), [(KEY, "key"), (REFRESH, "pasta-token"), (REFRESH, "edi-token")])
GENUINE = {KEY: {"key": "x"}, REFRESH: {"pasta-token": "x", "edi-token": "x"}}


@FIELDS
def test_names_the_field_that_is_missing(api, path, name):
    body = {key: value for key, value in GENUINE[path].items() if key != name}
    response = api.call("POST", path, body)
    assert response.status_code == 400
    assert name in response.json()["msg"]


@FIELDS
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        1,
        1.5,
        10**30,
        "",
        [],
        ["x"],
        {},
        {"x": "y"},
        "x\0",
        "\0",
    ],
    ids=repr,
)
def test_names_the_field_that_is_ill_typed(api, path, name, value):
    raw = GENUINE[path] | {name: value}
    response = api.call("POST", path, str_json(raw))
    assert response.status_code == 400
    assert name in response.json()["msg"]


def str_json(value):
    """`value` as JSON, numbers of any size included."""
    return json.dumps(value).encode()


@pytest.mark.parametrize("field", ["pasta_token", "Pasta-Token", "pasta-token ", "PASTA-TOKEN"])
def test_takes_a_field_under_its_documented_name_alone(api, field):
    response = api.call("POST", REFRESH, {field: pasta(), "edi-token": edi()})
    assert response.status_code == 400
    assert "pasta-token" in response.json()["msg"]


@ROUTES
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b"[]",
        b'["key"]',
        b"null",
        b"true",
        b"1",
        b'"key"',
        b"key=x",
        b"{'key': 'x'}",
        b'{"key": "x",}',
        b'{"key": "x"} {}',
        b'{"key": NaN}',
        b'{"key": "\xff"}',
        b"\xff\xfe{\0",
        '{"key": "x"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"key": "x"}',
        b'{"key": "\\ud800"}',
        b'{"key": "\\x"}',
        b'{"key": "x\ny"}',
        b'{"key": 1e999999}',
        b'{"key": ' + b"1" * 60_000 + b"}",
        b"[" * 60_000,
        b'{"key":' * 8_000,
        b'{"key": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"\0" * 100,
        b"--x\r\nContent-Disposition: form-data; name=key\r\n\r\nx\r\n--x--",
        b"<key>x</key>",
        b"{}",
    ],
    ids=lambda body: repr(body)[:40],
)
def test_refuses_a_body_that_is_not_what_is_documented(api, path, body):
    response = api.call("POST", path, body)
    assert response.status_code == 400
    assert list(response.json()) == ["msg", "method"]


CONTENT_TYPES = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/json",
    "application/json; charset=latin-1",
    "application/json; charset=nonsense",
    "text/plain",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=\xff",
    "application/xml",
    "image/png",
    "nonsense",
    ";;;",
    "x" * 9000,
    "application/json; x*=nonsense''y",
    "application/json; x*=idna''%41",
    "",
]


@pytest.mark.django_db
@pytest.mark.parametrize("content_type", CONTENT_TYPES[:-3])
def test_reads_json_under_any_content_type(api, content_type):
    response = api.call("POST", KEY, {"key": secret_of(ApiKeyFactory())}, content_type=content_type)
    assert response.status_code == 200


@pytest.fixture
def served(monkeypatch):
    """Answers a request as the whole application does, with status and body."""
    # Its receivers would close the connection of the test.
    monkeypatch.setattr(request_started, "send", lambda **named: [])

    def serve(path, body, **environ):
        answers = []
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "7000",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http",
        } | environ
        content = Application()(environ, lambda status, headers: answers.append(status))
        return int(answers[0].split()[0]), b"".join(content)

    return serve


@pytest.mark.parametrize("content_type", CONTENT_TYPES, ids=lambda content_type: content_type[:40])
def test_lets_no_content_type_past_its_dialect(served, content_type):
    status, body = served(REFRESH, b'{"pasta-token": "x", "edi-token": "x"}', CONTENT_TYPE=content_type)
    assert status == 401
    assert b'"method":"refreshToken"' in body


def test_needs_no_content_type(served):
    status, _ = served(REFRESH, b'{"pasta-token": "x", "edi-token": "x"}')
    assert status == 401


@pytest.mark.parametrize("length", ["", "-1", "x", "1.5", "1e3", "0x10", "\u0661", "+2", " 2 "])
def test_takes_a_content_length_that_makes_no_sense_for_a_bad_request(served, length):
    status, body = served(REFRESH, b"{}", CONTENT_LENGTH=length)
    assert status == 400
    assert b'"method":"refreshToken"' in body


@pytest.mark.parametrize("length", [LIMIT + 1, 10**9, 10**30])
def test_refuses_a_body_by_its_announced_length(served, length):
    status, body = served(REFRESH, b"{}", CONTENT_LENGTH=str(length))
    assert status == 413
    assert b'"method":"refreshToken"' in body


def padded(length):
    """A body of `length` bytes that is an object with the documented fields."""
    stem = b'{"key": "unknown", "pasta-token": "x", "edi-token": "x", "pad": ""}'
    return stem[:-2] + b"x" * (length - len(stem)) + stem[-2:]


@pytest.mark.django_db
@ROUTES
def test_reads_a_body_of_64_kib(api, path):
    assert api.call("POST", path, padded(LIMIT)).status_code == 401


@ROUTES
@pytest.mark.parametrize("length", [LIMIT + 1, 3 * 1024 * 1024])
def test_refuses_a_larger_body(api, path, length):
    response = api.call("POST", path, padded(length))
    assert response.status_code == 413
    assert response.json()["method"] == METHODS[path]


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["HEAD", "OPTIONS", "GET", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"])
def test_exchanges_a_key_by_post_alone(api, verb):
    key = ApiKeyFactory()
    response = api.call(verb, KEY, {"key": secret_of(key)})
    assert response.status_code == (204 if verb == "OPTIONS" else 405)
    assert b"token" not in response.content.replace(b"getTokenByKey", b"")
    stored = ApiKey.objects.get(pk=key.pk)
    assert (stored.use_count, stored.last_used_at) == (0, None)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("verb", ["HEAD", "OPTIONS", "GET", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"])
def test_refreshes_by_post_alone(api, verb):
    response = api.call(verb, REFRESH, {"pasta-token": pasta(), "edi-token": edi()})
    assert response.status_code == (204 if verb == "OPTIONS" else 405)
    assert b"-token" not in response.content


@ROUTES
@pytest.mark.parametrize("verb", ["HEAD", "OPTIONS", "GET"])
def test_tells_which_methods_there_are(api, path, verb):
    assert "POST" in api.call(verb, path)["Allow"].split(", ")


@ROUTES
def test_takes_no_other_method_from_a_header_or_the_url(api, path):
    headers = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST"}
    response = api.call("GET", f"{path}?_method=POST", BODIES[path], headers=headers)
    assert response.status_code == 405


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
@ROUTES
@ERRORS
def test_keeps_errors_out_of_caches(api, path, ask, status):
    assert ask(api, path)["Cache-Control"] == "no-store"


@ROUTES
@pytest.mark.parametrize("verb", ["HEAD", "OPTIONS"])
def test_keeps_answers_without_a_body_out_of_caches(api, path, verb):
    assert api.call(verb, path)["Cache-Control"] == "no-store"


@ROUTES
@pytest.mark.parametrize("accept", ["*/*", "text/xml"])
@pytest.mark.parametrize("exc", [RuntimeError, KeyError, RecursionError, UnicodeError, MemoryError])
def test_reveals_nothing_of_an_error_of_its_own(api, monkeypatch, path, accept, exc):
    fail(monkeypatch, exc("a secret word"))
    response = api.call("POST", path, GENUINE[path], headers={"Accept": accept})
    assert response.status_code == 500
    assert b"a secret word" not in response.content
    assert exc.__name__.encode() not in response.content
    assert METHODS[path].encode() in response.content
    assert response["Cache-Control"] == "no-store"


@ROUTES
def test_says_of_an_error_of_its_own_what_it_is(api, monkeypatch, path):
    fail(monkeypatch, RuntimeError())
    body = api.call("POST", path, GENUINE[path]).json()
    assert body == {"msg": "Internal server error", "method": METHODS[path]}


@ROUTES
def test_writes_an_error_of_its_own_to_the_log(api, monkeypatch, caplog, path):
    fail(monkeypatch, RuntimeError("a clue"))
    api.call("POST", path, GENUINE[path], headers={"X-Request-ID": "request-1234"})
    assert "a clue" in caplog.text
    assert "request-1234" in caplog.text


@ROUTES
@pytest.mark.parametrize("accept", ["*/*", "text/xml"])
def test_says_when_the_database_is_away(api, monkeypatch, path, accept):
    fail(monkeypatch, OperationalError("could not connect to server at db.internal"))
    response = api.call("POST", path, GENUINE[path], headers={"Accept": accept})
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert METHODS[path].encode() in response.content
    assert b"db.internal" not in response.content


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["EDI_JWT_PRIVATE_KEY_PATH", "PASTA_PRIVATE_KEY_PATH"])
@pytest.mark.parametrize(
    "content", [None, b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
@pytest.mark.usefixtures("clock")
def test_reveals_no_path_and_no_key_where_a_key_file_is_missing(api, settings, tmp_path, name, content):
    setattr(settings, name, tmp_path / "folder-of-keys" / "broken.pem")
    if content is not None:
        (tmp_path / "folder-of-keys").mkdir()
        (tmp_path / "folder-of-keys" / "broken.pem").write_bytes(content)
    for path, body in (
        (KEY, {"key": secret_of(ApiKeyFactory())}),
        (REFRESH, {"pasta-token": pasta(), "edi-token": edi()}),
    ):
        response = api.call("POST", path, body)
        assert response.status_code == 500
        assert list(response.json()) == ["msg", "method"]
        assert b"folder-of-keys" not in response.content
        assert b"-token" not in response.content


@pytest.fixture
def limit(settings):
    """Three failures a minute are allowed; who had more is forgotten with the test."""
    settings.MAX_FAILURES = 3
    throttling.forget()
    yield settings.MAX_FAILURES
    throttling.forget()


def attempts(api, number, **options):
    """Attempts with a credential that is not one; the last answer."""
    for _ in range(number):
        response = api.call("POST", REFRESH, BODIES[REFRESH], **options)
    return response


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("accept", ["*/*", "text/xml"])
def test_asks_for_patience_after_too_many_failures(api, limit, accept):
    assert attempts(api, limit).status_code == 401
    response = attempts(api, 1, headers={"Accept": accept})
    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 60
    assert b"refreshToken" in response.content
    assert response["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("clock")
def test_takes_no_genuine_token_either_from_whoever_failed_too_often(api, limit):
    attempts(api, limit + 1)
    body = {"pasta-token": pasta(), "edi-token": edi()}
    assert api.call("POST", REFRESH, body).status_code == 429
    elsewhere = api.generic("POST", REFRESH, json.dumps(body).encode(), REMOTE_ADDR="192.0.2.1")
    assert elsewhere.status_code == 200


@pytest.mark.usefixtures("clock")
def test_takes_genuine_tokens_again_in_the_next_minute(api, limit, clock):
    attempts(api, limit + 1)
    clock.shift(60)
    assert api.call("POST", REFRESH, {"pasta-token": pasta(), "edi-token": edi()}).status_code == 200


@pytest.mark.usefixtures("clock")
def test_counts_no_request_that_goes_well_or_makes_no_sense(api, limit):
    for _ in range(2 * limit):
        assert api.call("POST", REFRESH, {"pasta-token": pasta(), "edi-token": edi()}).status_code == 200
        assert api.call("POST", REFRESH, {}).status_code == 400
    assert attempts(api, 1).status_code == 401
