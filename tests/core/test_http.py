"""HTTP as all the APIs speak it: addresses, request ids, bodies, negotiation, one way to an error."""

import io

import orjson
import pytest
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, OperationalError
from django.http import UnreadablePostError
from django.test import RequestFactory
from rest_framework import exceptions

from tests.core.wsgi import chunked, request
from tests.factories import ApiKeyFactory, NamedTokenFactory, secret_of, value_of
from tokens.core import errors
from tokens.core.http import BEARER_REFUSED, client_address, problem_of

pytestmark = pytest.mark.django_db

KEY, PING, TOKENS = "/auth/v1/key", "/auth/v1/ping", "/_/token"
LIMIT = 64 * 1024


def key_body(secret: str, size: int) -> bytes:
    """A body of `size` bytes that names the key `secret`."""
    body = orjson.dumps({"key": secret})
    return body + b" " * (size - len(body))


class Broken(io.RawIOBase):
    """A body whose client stops in the middle: a timeout ends the read, and what came before it is read after it."""

    has_failed = False

    def read(self, size=-1):
        if self.has_failed:
            return b'{"key": '
        self.has_failed = True
        raise BlockingIOError(11, "Resource temporarily unavailable")


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "expected"),
    [
        ("192.0.2.1", "", [], "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", [], "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", ["10.0.0.0/8"], "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7", ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", ["10.0.0.0/8"], "10.0.0.3"),
        ("10.0.0.1", "", ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", " , 198.51.100.7 ,", ["10.0.0.1"], "198.51.100.7"),
        ("10.0.0.1", "unknown", ["10.0.0.0/8"], None),
        ("::ffff:10.0.0.1", "198.51.100.7", ["10.0.0.0/8"], "198.51.100.7"),
        ("::1", "2001:db8::7", ["::1"], "2001:db8::7"),
        ("::1", "198.51.100.7", ["10.0.0.0/8"], "::1"),
        ("", "198.51.100.7", ["10.0.0.0/8"], None),
        ("unix:", "", [], None),
    ],
)
def test_believes_only_trusted_proxies_about_the_address(settings, peer, forwarded, trusted, expected):
    settings.TRUSTED_PROXIES = trusted
    headers = {"REMOTE_ADDR": peer, **({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})}
    assert client_address(RequestFactory().get("/", **headers)) == expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "is_trusted", "expected"),
    [
        ("", "198.51.100.7", True, "198.51.100.7"),
        ("", "1.1.1.1, 198.51.100.7, 10.0.0.1", True, "198.51.100.7"),
        ("", "", True, None),
        ("", "unknown", True, None),
        ("", "198.51.100.7", False, None),
        ("192.0.2.1", "198.51.100.7", True, "192.0.2.1"),
        ("unknown", "198.51.100.7", True, None),
    ],
)
def test_believes_whoever_comes_through_a_unix_socket_if_told_so(settings, peer, forwarded, is_trusted, expected):
    settings.TRUSTED_PROXIES, settings.TRUSTS_UNIX_SOCKET = ["10.0.0.0/8"], is_trusted
    headers = {"REMOTE_ADDR": peer, **({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})}
    assert client_address(RequestFactory().get("/", **headers)) == expected


@pytest.mark.parametrize(
    "given", ["trace-1.2_A", "x" * 19, "0" * 64, "f2b1a6c5b8a3b159", "9A1C6E52-7B53-4CF5-8B02-1B1A2E1D0F33"]
)
def test_takes_over_a_plain_request_id(given):
    assert request("GET", PING, HTTP_X_REQUEST_ID=given).header("X-Request-ID") == [given]


@pytest.mark.parametrize(
    "given",
    [
        *("", "short", "x" * 20, "0" * 65, "with space", "a\r\nSet-Cookie: b=c", "ümlaut-1234", "a/b?c=d&e"),
        *("R9arQwYMFqdgVVYt7jqcsxfyPyU", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"),
    ],
)
def test_makes_an_id_of_its_own_for_a_request_without_a_plain_one(given):
    (made,) = request("GET", PING, HTTP_X_REQUEST_ID=given).header("X-Request-ID")
    assert made != given
    assert len(made) == 16
    assert made.isalnum()


def test_gives_every_request_another_id():
    assert request("GET", PING).header("X-Request-ID") != request("GET", PING).header("X-Request-ID")


@pytest.mark.parametrize("path", [PING, TOKENS, KEY, "/token", "/nowhere", "/_/nowhere", "/"])
def test_lets_no_browser_guess_a_type(path):
    assert request("GET", path).header("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize("path", [PING, TOKENS, KEY, "/token", "/_/nowhere", "/auth/v1/nowhere", "/nowhere"])
def test_tells_the_length_of_every_answer(path):
    answer = request("GET", path)
    assert answer.header("Content-Length") == [str(len(answer.body))]


@pytest.mark.parametrize("path", [TOKENS, "/_/token/value", "/token", KEY, "/_/nowhere", "/auth/v1/nowhere"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_keeps_every_answer_of_an_api_out_of_caches(path, method):
    assert request(method, path, b"{}").header("Cache-Control") == ["no-store"]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/xml",
        "nonsense",
    ],
)
def test_reads_json_whatever_its_content_type(content_type):
    secret = secret_of(ApiKeyFactory())
    answer = request("POST", KEY, key_body(secret, 100), CONTENT_TYPE=content_type)
    assert answer.status == 200


def test_reads_json_without_a_content_type():
    secret = secret_of(ApiKeyFactory())
    assert request("POST", KEY, key_body(secret, 100), CONTENT_TYPE=None).status == 200


@pytest.mark.parametrize("send", [request, chunked])
def test_takes_a_body_of_64_kib(send):
    secret = secret_of(ApiKeyFactory())
    assert send("POST", KEY, key_body(secret, LIMIT)).status == 200


@pytest.mark.parametrize("send", [request, chunked])
@pytest.mark.parametrize("size", [LIMIT + 1, 10 * LIMIT])
def test_refuses_a_larger_body(send, size):
    secret = secret_of(ApiKeyFactory())
    answer = send("POST", KEY, key_body(secret, size))
    assert answer.status == 413
    assert answer.json()["msg"] == "The request body is too large; at most 64 KiB are read."


@pytest.mark.parametrize("length", [str(LIMIT + 1), f"{LIMIT + 1:030}", "9" * 30])
def test_refuses_what_says_that_it_is_larger(length):
    assert request("POST", TOKENS, b"{}", CONTENT_LENGTH=length).status == 413


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_refuses_a_larger_body_before_it_asks_for_a_credential(method):
    assert request(method, TOKENS, b"x" * (LIMIT + 1)).status == 413


def test_reads_no_more_of_a_larger_chunked_body_than_it_must():
    stream = io.BytesIO(b"x" * 10 * LIMIT)
    chunked("POST", KEY, stream)
    assert stream.tell() <= LIMIT + 1


def test_reads_the_chunked_body_of_a_delete():
    NamedTokenFactory(name="example")
    bearer = f"Bearer {value_of(NamedTokenFactory())}"
    answer = chunked("DELETE", TOKENS, b'{"name": "example"}', HTTP_AUTHORIZATION=bearer)
    assert answer.status == 200


def test_reads_no_chunked_body_whose_end_nobody_knows():
    answer = chunked("POST", KEY, Broken(), **{"wsgi.input_terminated": False})
    assert answer.status == 400


@pytest.mark.parametrize("length", ["", "-1", "abc", "1e3", "9" * 5000, "٣"])
def test_answers_a_length_that_makes_no_sense(length):
    answer = request("POST", KEY, b"", CONTENT_LENGTH=length)
    assert answer.status in {400, 413}
    assert answer.json()["method"] == "getTokenByKey"


def test_answers_a_body_that_is_shorter_than_its_length():
    answer = request("POST", KEY, b'{"key": ', CONTENT_LENGTH="20")
    assert answer.status == 400


def test_answers_a_client_that_stops_in_the_middle():
    answer = request("POST", KEY, Broken(), CONTENT_LENGTH="20")
    assert answer.status == 408
    assert answer.json() == {"msg": "The request body did not arrive.", "method": "getTokenByKey"}


def test_answers_a_client_that_stops_in_the_middle_of_a_chunked_body():
    answer = chunked("POST", KEY, Broken())
    assert answer.status == 408
    assert answer.json() == {"msg": "The request body did not arrive.", "method": "getTokenByKey"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"null",
        b"[]",
        b'"key"',
        b"1",
        b"key=R9arQ",
        b"{'key': 1}",
        b'{"key": "a",}',
        b"\xff\xfe{}",
        b'{"key":NaN}',
    ],
)
def test_names_what_is_wrong_with_a_body_that_is_no_object(body):
    answer = request("POST", KEY, body)
    assert answer.status == 400
    assert answer.json()["msg"] in {"The body is not valid JSON.", "The body must be a JSON object."}


@pytest.mark.parametrize("depth", [1000, 30000])
def test_answers_a_body_that_is_nested_deeply(depth):
    assert request("POST", KEY, b'{"key":' + b"[" * depth + b"]" * depth + b"}").status == 400


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/xml", "application/xml"),
        ("text/xml", "text/xml"),
        ("text/html, application/xml;q=0.9, */*;q=0.8", "application/xml"),
        ("application/xml;q=0.5, application/json", "application/json"),
        ("application/json;q=0.5, text/xml", "text/xml"),
        ("image/png", "application/json"),
        ("nonsense", "application/json"),
        ("", "application/json"),
        ("application/xml;q=0, application/json", "application/json"),
    ],
)
def test_gives_the_type_that_accept_prefers(accept, expected):
    (given,) = request("POST", KEY, b"{}", HTTP_ACCEPT=accept).header("Content-Type")
    assert given.split(";")[0] == expected


@pytest.mark.parametrize("path", [TOKENS, "/token"])
def test_gives_json_where_there_is_nothing_else(path):
    assert request("GET", path, HTTP_ACCEPT="application/xml").header("Content-Type") == ["application/json"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (TOKENS, {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}),
        ("/_/token/value", {"GET", "HEAD", "OPTIONS"}),
        ("/token", {"GET", "HEAD", "OPTIONS"}),
        (KEY, {"POST", "OPTIONS"}),
        ("/auth/v1/token/refresh", {"POST", "OPTIONS"}),
        (PING, {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_names_the_methods_of_a_route(path, allowed):
    answer = request("OPTIONS", path)
    assert (answer.status, answer.body) == (204, b"")
    assert set(answer.header("Allow")[0].split(", ")) == allowed


@pytest.mark.parametrize(
    ("exc", "status", "message"),
    [
        (errors.Invalid("name", "name: is odd"), 400, "name: is odd"),
        (errors.InvalidCredential("Invalid API key"), 401, "Invalid API key"),
        (errors.Forbidden("locked"), 403, "locked"),
        (errors.NotFound("nothing"), 404, "nothing"),
        (errors.AlreadyExists("taken"), 409, "taken"),
        (errors.NotConfigured("X is not set."), 500, "The server is not configured for this call."),
        (errors.Unavailable("away"), 503, "The registry cannot be reached at the moment; try again."),
        (OperationalError("host secret-host"), 503, "The registry cannot be reached at the moment; try again."),
        (DatabaseError("secret"), 500, "Internal server error"),
        (exceptions.NotAuthenticated(), 401, BEARER_REFUSED),
        (exceptions.MethodNotAllowed("PATCH"), 405, 'Method "PATCH" not allowed.'),
        (RequestDataTooBig("secret"), 413, "The request body is too large; at most 64 KiB are read."),
        (UnreadablePostError("secret"), 408, "The request body did not arrive."),
        (ValueError("secret"), 500, "Internal server error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_turns_every_exception_into_a_status_and_a_sentence(exc, status, message):
    problem = problem_of(exc)
    assert (problem.status, problem.message) == (status, message)


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ({"name": ["is required."]}, "name: is required."),
        ({"non_field_errors": ["make no sense."]}, "make no sense."),
        ({"data": {"name": ["is required."]}}, "name: is required."),
        (["is odd."], "is odd."),
    ],
)
def test_names_the_field_of_the_first_complaint(detail, message):
    assert problem_of(exceptions.ValidationError(detail)).message == message


def test_says_when_to_try_again():
    assert problem_of(OperationalError()).headers == {"Retry-After": "2"}
