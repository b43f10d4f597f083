"""GET /token without a key, for feeds and players (the contract, "`GET /token`", `PERFORMANCE_LISTENER_TOKENS`)."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from podcast_perf.models import PerformanceToken
from tests.factories import PublisherFactory, secret_of, value_of
from tests.tokens.tools import decode_jws
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def listeners(settings):
    settings.PERFORMANCE_LISTENER_TOKENS = True


@pytest.fixture
def get(api, settings):
    """The claims that a request without a key is given."""

    def get(query=""):
        response = api.call("GET", f"/token{query}")
        assert response.status_code == 200, response.content
        header, claims = decode_jws(response.json()["token"], secret=settings.PERFORMANCE_SECRET_KEY)
        assert header == {"alg": "HS256", "typ": "JWT"}
        return claims

    return get


def test_is_no_admin(get):
    assert list(get()) == ["s", "d", "iat", "exp"]


def test_is_not_given_unless_it_is_switched_on(api, settings):
    settings.PERFORMANCE_LISTENER_TOKENS = False
    response = api.call("GET", "/token?expiresIn=1")
    assert response.status_code == 400
    assert response.json()["error"] == "Invalid public key"
    assert not PerformanceToken.objects.exists()


@pytest.mark.parametrize(
    ("query", "hours"), [("1", 1), ("1h", 1), ("2", 2), ("2h", 2), ("10", 10), ("23h", 23), ("24", 24), ("24h", 24)]
)
def test_lasts_as_long_as_it_was_asked_for(get, time_machine, query, hours):
    time_machine.move_to(NOW, tick=False)
    claims = get(f"?expiresIn={query}")
    assert claims["d"] == str(hours)
    assert claims["iat"] == int(NOW.timestamp())
    assert claims["exp"] == claims["iat"] + hours * 3600


@pytest.mark.parametrize(("default", "given"), [("1", "1"), ("0.5", "0.5"), ("24", "24"), ("24.5", "24"), ("48", "24")])
def test_lasts_as_long_as_the_settings_say_but_no_longer_than_a_listener_may(get, settings, default, given):
    settings.EXPIRES_IN = default
    claims = get()
    assert claims["d"] == given
    assert claims["exp"] - claims["iat"] == float(given) * 3600


@pytest.mark.parametrize("highest", [1, 48])
def test_lasts_as_long_as_the_operator_allows(api, get, settings, highest):
    settings.PERFORMANCE_LISTENER_MAX_HOURS = highest
    assert get(f"?expiresIn={highest}h")["d"] == str(highest)
    assert api.call("GET", f"/token?expiresIn={highest + 1}").status_code == 400


@pytest.mark.parametrize(
    "hours",
    [
        "",
        "0",
        "0h",
        "00",
        "01",
        "-1",
        "+1",
        "1.5",
        "1,5",
        "1e1",
        "25",
        "25h",
        "99999",
        "999999999999",
        "9" * 5000,
        "1d",
        "1m",
        "1H",
        "1 h",
        " 1",
        "1\n",
        "1h\n",
        "1hh",
        "h",
        "null",
        "true",
        "NaN",
        "Infinity",
        "\0",
        "1\0",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "\N{SUPERSCRIPT ONE}",
        "0x1",
        "1_0",
    ],
    ids=lambda hours: repr(hours[:12]),
)
def test_is_not_given_for_hours_that_make_no_sense(api, hours):
    response = api.call("GET", f"/token?expiresIn={quote(hours)}")
    assert response.status_code == 400
    assert response.json()["error"] == "Invalid expiresIn"
    assert set(response.json()) <= {"error", "detail"}
    assert not PerformanceToken.objects.exists()


@pytest.mark.parametrize("query", ["expiresIn=1&expiresIn=2", "expiresIn=1&expiresIn=1", "expiresIn=1&expiresIn="])
def test_refuses_hours_that_are_repeated(api, query):
    response = api.call("GET", f"/token?{query}")
    assert response.status_code == 400
    assert response.json()["error"] == "Invalid expiresIn"


@pytest.mark.parametrize(
    "query", ["a&" * 1001, "&" * 4000, "expiresIn[]=1", "%FF=%FF", "%", "expiresin=9", "="], ids=lambda q: q[:12]
)
def test_is_given_or_refused_whatever_the_query(api, query):
    api.raise_request_exception = False
    assert api.call("GET", f"/token?{query}").status_code in {200, 400}


@pytest.mark.parametrize("key", ["", " ", "unknown"])
def test_is_not_given_to_whoever_sends_a_wrong_key(api, key):
    response = api.call("GET", "/token", headers={"X-PUB-KEY": key})
    assert response.status_code == 400
    assert response.json()["error"] == "Invalid public key"


def test_is_not_given_to_a_publisher_that_was_switched_off(api):
    publisher = PublisherFactory(is_active=False)
    assert api.call("GET", "/token", headers={"X-PUB-KEY": secret_of(publisher)}).status_code == 400


def test_is_an_admins_for_whoever_sends_a_known_key(api, settings):
    headers = {"X-PUB-KEY": settings.PERFORMANCE_PUBLIC_KEY}
    value = api.call("GET", "/token?expiresIn=2", headers=headers).json()["token"]
    _, claims = decode_jws(value, secret=settings.PERFORMANCE_SECRET_KEY)
    assert (claims["a"], claims["d"]) == (True, "1")


def test_is_stored_like_any_other(get):
    claims = get("?expiresIn=2")
    token = PerformanceToken.objects.get()
    assert token.claims() == claims
    assert (token.is_admin, token.publisher) == (False, None)


def test_leaves_the_server_under_no_store(api):
    response = api.call("GET", "/token")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json() == {"token": value_of(PerformanceToken.objects.get())}


def test_is_recorded_as_fetched_by_the_public(get):
    get()
    event = AuditEvent.objects.get()
    assert event.action == "podcast_perf:performance_token:mint"
    assert (event.actor_kind, event.actor_id, event.actor_label) == ("public", "", "listener")
    assert event.after["is_admin"] is False


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_is_not_minted_by_a_method_that_only_asks(api, method):
    assert api.call(method, "/token?expiresIn=1").status_code in {200, 204}
    assert not PerformanceToken.objects.exists()
    assert not AuditEvent.objects.exists()
