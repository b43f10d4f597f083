"""How `GET /token` speaks of what went wrong (the contract, "For all three" and "`GET /token`")."""

from datetime import UTC, datetime

import pytest

from podcast_perf import services
from podcast_perf.models import PerformanceToken
from tests.tokens.tools import everything_stored
from tokens.core import kinds, throttling
from tokens.core.errors import Invalid

pytestmark = pytest.mark.django_db

LIMIT = 64 * 1024
ELSEWHERE = [
    "/token/",
    "/token//",
    "/token/x",
    "/token/value",
    "/token/?expiresIn=1",
    "/token/%00",
    "/token/%FF",
    "/token/%F0%9F%8E%89",
    "/token/" + "x" * 5000,
    "/token/%0A",
    "/token/one%0Atwo",
]


@pytest.fixture
def headers(settings):
    return {"X-PUB-KEY": settings.PERFORMANCE_PUBLIC_KEY}


@pytest.fixture
def failures(time_machine):
    """Counted from none, within one minute."""
    time_machine.move_to(datetime(2027, 1, 15, 12, 0, 30, tzinfo=UTC), tick=False)
    throttling.forget()
    yield
    throttling.forget()


def error_of(response, status):
    """The sentence of an error that is in the dialect."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert set(response.json()) <= {"error", "detail"}
    return response.json()["error"]


def as_wsgi(text):
    """The bytes of `text`, in UTF-8, as a server hands them over in a header."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"])
@pytest.mark.parametrize("body", [None, {}, b"{"], ids=["no body", "object", "garbage"])
def test_refuses_another_method(api, headers, method, body):
    response = api.call(method, "/token", body, headers=headers)
    assert error_of(response, 405) == f'Method "{method}" not allowed.'
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert not PerformanceToken.objects.exists()


@pytest.mark.parametrize("path", ELSEWHERE, ids=lambda path: path[:20])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml"], ids=["any", "html"])
def test_speaks_the_dialect_where_there_is_nothing(api, headers, method, path, accept):
    response = api.call(method, path, headers=headers | {"Accept": accept})
    assert error_of(response, 404) == "There is nothing here."
    assert "Location" not in response.headers
    assert not PerformanceToken.objects.exists()


def test_refuses_too_large_a_body(api, headers):
    assert "64 KiB" in error_of(api.call("GET", "/token", b"x" * (LIMIT + 1), headers=headers), 413)
    assert not PerformanceToken.objects.exists()


@pytest.mark.parametrize("body", [b"{", b"\xff", b"x" * LIMIT], ids=["malformed", "no text", "64 KiB"])
def test_does_not_read_a_body(api, headers, body):
    assert api.call("GET", "/token", body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "accept", ["application/xml", "text/html", "image/png", "nonsense", "", "application/json;q=0"]
)
def test_answers_in_json_whatever_is_accepted(api, headers, accept):
    response = api.call("GET", "/token", headers=headers | {"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("OPTIONS", 204)], ids=["HEAD", "OPTIONS"])
def test_mints_nothing_by_a_method_that_only_asks(api, headers, method, status):
    before = everything_stored()
    response = api.call(method, "/token?expiresIn=1", headers=headers)
    assert response.status_code == status
    assert response.content == b""
    assert response.headers["Cache-Control"] == "no-store"
    assert everything_stored() == before


@pytest.mark.parametrize("key", [None, "", "unknown"])
def test_answers_head_as_it_would_answer_get(api, key):
    headers = {} if key is None else {"X-PUB-KEY": key}
    assert api.call("HEAD", "/token", headers=headers).status_code == 400


def test_answers_head_without_a_secret_as_it_would_answer_get(api, headers, settings):
    settings.PERFORMANCE_SECRET_KEY = ""
    assert api.call("HEAD", "/token", headers=headers).status_code == 500


@pytest.mark.parametrize(
    "key",
    [
        "schlüssel",
        as_wsgi("schlüssel"),
        as_wsgi("\N{PARTY POPPER}"),
        "\xff\xfe",
        "\xc3",
        "\xed\xa0\x80",
        "\x80",
        "\0",
        "\x01\x7f",
        "\t",
        "x" * 10_000,
        "\xff" * 100_000,
        "%s%n{0}{}",
        "' OR 1=1 --",
    ],
    ids=lambda key: repr(key[:12]),
)
def test_refuses_a_strange_key_like_any_unknown_one(api, key):
    response = api.call("GET", "/token", headers={"X-PUB-KEY": key})
    assert error_of(response, 400) == "Invalid public key"
    assert response.content == api.call("GET", "/token", headers={"X-PUB-KEY": "unknown"}).content


@pytest.mark.parametrize(
    "key",
    [
        "schlüssel-der-mitte",
        "ключ-от-всего",
        "\N{PARTY POPPER}" * 10,
        "x" * 255,
        "y" * 1024,
        "a b c d e f",
        "SG.a-b.c_d",
    ],
)
def test_takes_a_strange_key_that_a_publisher_has(api, actor, key):
    services.add_publisher("Feeds", actor=actor, raw_key=key)
    assert api.call("GET", "/token", headers={"X-PUB-KEY": as_wsgi(key)}).status_code == 200
    assert kinds.find(key)[1].name == "Feeds"


@pytest.mark.parametrize("key", ["y" * 1025, "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"])
def test_lets_nobody_bring_a_key_that_could_not_be_found_again(actor, key):
    with pytest.raises(Invalid):
        services.add_publisher("Feeds", actor=actor, raw_key=key)


@pytest.mark.parametrize("key", ["schlüssel-der-mitte", "\N{PARTY POPPER}" * 10])
def test_takes_a_strange_key_of_the_settings(api, settings, key):
    settings.PERFORMANCE_PUBLIC_KEY = key
    assert api.call("GET", "/token", headers={"X-PUB-KEY": as_wsgi(key)}).status_code == 200


@pytest.mark.parametrize("path", ["/token", "/token?expiresIn=1"])
def test_asks_for_patience_whoever_fails_too_often(api, settings, failures, path):
    settings.MAX_FAILURES = 3
    for _ in range(3):
        assert error_of(api.call("GET", path, headers={"X-PUB-KEY": "guessed"}), 400) == "Invalid public key"
    response = api.call("GET", path, headers={"X-PUB-KEY": "guessed"})
    assert error_of(response, 429)
    assert 0 < int(response.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("place", ["services.holder_of", "dialect.token"])
def test_reveals_nothing_of_a_mistake_of_its_own(api, headers, monkeypatch, place):
    def fail(*args, **kwargs):
        raise RuntimeError("a secret that nobody may see")

    monkeypatch.setattr(f"podcast_perf.{place}", fail)
    api.raise_request_exception = False
    response = api.call("GET", "/token", headers=headers)
    assert error_of(response, 500) == "Internal server error"
    assert b"secret" not in response.content
