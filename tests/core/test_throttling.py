"""`tokens.core.throttling`: so many failures an address and minute, at every door, in its own words."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache

from tests.client import APIClient
from tests.edi_auth.forge import KEY, REFRESH
from tests.factories import ApiKeyFactory, NamedTokenFactory, PublisherFactory, secret_of, value_of
from tokens.core import throttling
from tokens.core.errors import TooManyFailures

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 1, 4, 12, 0, 20, tzinfo=UTC)
LIMIT = 3
HOME, AWAY = "127.0.0.1", "192.0.2.9"


@pytest.fixture(autouse=True)
def clock(time_machine: Any) -> Any:
    """A clock that stands still twenty seconds into a minute."""
    time_machine.move_to(NOW, tick=False)
    return time_machine


@pytest.fixture(autouse=True)
def limits(settings):
    """Three a minute; counts of other tests are forgotten before and those of this one after."""
    settings.MAX_FAILURES = settings.MAX_UNAUTHENTICATED = LIMIT
    throttling.forget()
    yield
    throttling.forget()


def at(address: str) -> APIClient:
    """A client at an address."""
    return APIClient(REMOTE_ADDR=address)


DOORS = {
    "/_/token": lambda api, raw="x.y.z": api.call("GET", "/_/token", bearer=raw),
    "/token": lambda api, raw="unknown": api.call("GET", "/token", headers={"X-PUB-KEY": raw}),
    KEY: lambda api, raw="unknown": api.call("POST", KEY, {"key": raw}),
    "/introspect": lambda api, raw="x.y.z": api.call("POST", "/introspect", {"token": "x"}, bearer=raw),
    "/revoke": lambda api, raw="x.y.z": api.call("POST", "/revoke", {"token": "x"}, bearer=raw),
    REFRESH: lambda api: api.call("POST", REFRESH, {"pasta-token": "x-x", "edi-token": "x.y.z"}),
    "/auth/v1/token/EDI-0": lambda api: api.call("DELETE", "/auth/v1/token/EDI-0"),
}
GENUINE = {
    "/_/token": lambda: value_of(NamedTokenFactory()),
    "/token": lambda: secret_of(PublisherFactory()),
    KEY: lambda: secret_of(ApiKeyFactory()),
    "/introspect": lambda: value_of(NamedTokenFactory()),
    "/revoke": lambda: value_of(NamedTokenFactory()),
}
FAILED = dict.fromkeys(DOORS, 401) | {"/token": 400}
SENTENCE = "Too many requests from this address; try again later."
WORDS = {
    "/_/token": {"error": SENTENCE},
    "/token": {"error": SENTENCE},
    KEY: {"msg": SENTENCE, "method": "getTokenByKey"},
    "/introspect": {"error": "slow_down", "error_description": SENTENCE},
    "/revoke": {"error": "slow_down", "error_description": SENTENCE},
    REFRESH: {"msg": SENTENCE, "method": "refreshToken"},
    "/auth/v1/token/EDI-0": {"msg": SENTENCE, "method": "lockProfile"},
}
every_door = pytest.mark.parametrize("door", DOORS)
every_genuine_door = pytest.mark.parametrize("door", GENUINE)


def fail(door, times, client):
    return [DOORS[door](client).status_code for _ in range(times)]


def block(client=None):
    """Fail until the address is over the limit."""
    assert fail("/_/token", LIMIT + 1, client or at(HOME)) == [401] * LIMIT + [429]


@every_door
def test_lets_an_address_fail_so_often_and_no_more(api, door):
    assert fail(door, LIMIT + 2, api) == [FAILED[door]] * LIMIT + [429, 429]


@every_door
def test_asks_for_patience_in_the_words_of_the_door(api, door):
    block()
    response = DOORS[door](api)
    assert (response.status_code, response.json()) == (429, WORDS[door])
    assert response["Retry-After"] == "40"
    assert response["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in response


def test_asks_for_patience_in_xml(api):
    block()
    response = api.call("POST", KEY, {"key": "x"}, headers={"Accept": "application/xml"})
    assert response.status_code == 429
    assert b"<msg>Too many requests" in response.content


@pytest.mark.parametrize(("seconds", "patience"), [(0, 40), (1, 39), (39, 1), (39.9, 1)])
def test_says_how_long_it_lasts(api, clock, seconds, patience):
    block()
    clock.shift(seconds)
    response = DOORS["/_/token"](api)
    assert (response.status_code, response["Retry-After"]) == (429, str(patience))


@pytest.mark.parametrize(("seconds", "status"), [(39, 429), (40, 401), (60, 401)])
def test_begins_anew_with_the_next_minute(api, clock, seconds, status):
    block()
    clock.shift(seconds)
    assert fail("/_/token", 1, api) == [status]


def test_counts_the_new_minute_from_its_first_failure(api, clock):
    block()
    clock.shift(40)
    block()


def test_forgets_an_address_whose_window_has_ended(api, clock):
    block()
    clock.shift(40)
    assert DOORS["/_/token"](api, GENUINE["/_/token"]()).status_code == 200
    assert throttling._blocked == {}


@every_genuine_door
def test_takes_a_usable_credential_below_the_limit(api, door):
    raw = GENUINE[door]()
    for _ in range(LIMIT):
        assert DOORS[door](api).status_code == FAILED[door]
        assert DOORS[door](api, raw).status_code == 200


@every_genuine_door
def test_counts_no_request_that_goes_well(api, door):
    raw = GENUINE[door]()
    assert {DOORS[door](api, raw).status_code for _ in range(3 * LIMIT)} == {200}
    assert fail(door, LIMIT, api) == [FAILED[door]] * LIMIT


def test_counts_no_refusal_that_is_not_about_a_credential(api):
    reader = value_of(NamedTokenFactory(can_write=False))
    calls = [
        ("POST", "/_/token", {"name": "x"}, 403),
        ("PATCH", "/_/token", None, 405),
        ("GET", "/_/nothing", None, 404),
    ]
    for method, path, body, status in calls * LIMIT:
        assert api.call(method, path, body, bearer=reader).status_code == status
    assert fail("/_/token", LIMIT, api) == [401] * LIMIT


@every_genuine_door
def test_takes_nothing_from_an_address_over_the_limit_and_everything_from_others(door):
    block(at(HOME))
    raw = GENUINE[door]()
    assert DOORS[door](at(HOME), raw).status_code == 429
    assert DOORS[door](at(AWAY), raw).status_code == 200


def test_counts_the_failures_of_all_doors_together(api):
    for door in ["/_/token", KEY, "/introspect"]:
        assert fail(door, 1, api) == [401]
    assert fail(REFRESH, 1, api) == [429]


def test_counts_each_address_by_itself():
    for number in range(1, 20):
        assert fail("/_/token", LIMIT, at(f"192.0.2.{number}")) == [401] * LIMIT


def test_knows_an_address_in_both_of_its_spellings():
    fail("/_/token", LIMIT, at("192.0.2.1"))
    assert fail("/_/token", 1, at("::ffff:192.0.2.1")) == [429]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("2001:db8:1:2::ffff", 429),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", 429),
        ("2001:0DB8:0001:0002::1%eth0", 429),
        ("2001:db8:1:3::1", 401),
        ("2001:db8::1:2:0:0:1", 401),
    ],
)
def test_takes_a_network_of_64_bits_for_one_client(address, status):
    for number in range(LIMIT):
        assert fail("/_/token", 1, at(f"2001:db8:1:2::{number:x}")) == [401]
    assert fail("/_/token", 1, at(address)) == [status]


@pytest.mark.parametrize("path", ["/auth/v1/ping", "/.well-known/jwks.json", "/auth/v1/public-key"])
def test_answers_a_question_that_needs_no_credential_all_the_same(api, path):
    block()
    assert api.call("GET", path).status_code == 200


def test_limits_nothing_where_the_operator_says_so(api, settings):
    settings.MAX_FAILURES = 0
    assert fail("/_/token", 20, api) == [401] * 20


def test_counts_nobody_whose_address_is_unknown():
    assert fail("/_/token", 2 * LIMIT, at("")) == [401] * (2 * LIMIT)


@pytest.fixture
def listeners(settings):
    """Tokens for whoever asks."""
    settings.PERFORMANCE_LISTENER_TOKENS = True


@pytest.mark.usefixtures("listeners")
def test_mints_so_often_for_a_listener_and_no_more(api):
    statuses = [api.call("GET", "/token").status_code for _ in range(LIMIT + 2)]
    assert statuses == [200] * LIMIT + [429, 429]
    response = api.call("GET", "/token")
    assert (response.json(), response["Retry-After"]) == ({"error": SENTENCE}, "40")
    assert at(AWAY).call("GET", "/token").status_code == 200


@pytest.mark.usefixtures("listeners")
def test_answers_head_as_it_would_answer_a_listener_who_came_too_often(api):
    for _ in range(LIMIT + 1):
        api.call("GET", "/token")
    assert api.call("HEAD", "/token").status_code == 429
    assert at(AWAY).call("HEAD", "/token").status_code == 200


@pytest.mark.usefixtures("listeners")
@pytest.mark.parametrize("limit", [1, 5])
def test_mints_as_often_for_a_listener_as_the_operator_allows_whatever_may_fail(api, settings, limit):
    settings.MAX_UNAUTHENTICATED = limit
    statuses = [api.call("GET", "/token").status_code for _ in range(limit + 1)]
    assert statuses == [200] * limit + [429]


@pytest.mark.usefixtures("listeners")
def test_mints_for_a_publisher_where_listeners_were_too_many(api):
    for _ in range(LIMIT + 1):
        last = api.call("GET", "/token")
    assert last.status_code == 429
    assert DOORS["/token"](api, secret_of(PublisherFactory())).status_code == 200


@pytest.mark.usefixtures("listeners")
def test_counts_no_head_as_a_token(api):
    assert {api.call("HEAD", "/token").status_code for _ in range(3 * LIMIT)} == {200}


def test_counts_in_the_cache_that_all_processes_share(api, monkeypatch):
    fail("/_/token", LIMIT, api)
    monkeypatch.setattr(throttling, "_blocked", {})  # another process
    monkeypatch.setattr(throttling, "_counts_without_cache", {})
    assert fail("/_/token", 1, api) == [429]


def test_blocks_in_another_process_from_its_first_failure_on(api, monkeypatch):
    """A usable credential costs no look-up in the cache, so each process may let one more attempt through."""
    raw = GENUINE["/_/token"]()
    block()
    monkeypatch.setattr(throttling, "_blocked", {})
    assert DOORS["/_/token"](api, raw).status_code == 200
    assert fail("/_/token", 1, api) == [429]
    assert DOORS["/_/token"](api, raw).status_code == 429


def test_asks_the_cache_nothing_for_a_request_that_goes_well(api, monkeypatch):
    raw = GENUINE["/_/token"]()

    def refuse(*args, **kwargs):
        raise AssertionError("The cache was asked.")

    for name in ("add", "incr", "get", "set"):
        monkeypatch.setattr(LocMemCache, name, refuse)
    assert DOORS["/_/token"](api, raw).status_code == 200


@pytest.fixture
def away(monkeypatch):
    """A cache that cannot be reached."""

    def refuse(*args, **kwargs):
        raise ConnectionError("redis://:password@cache is away")

    for name in ("add", "incr"):
        monkeypatch.setattr(LocMemCache, name, refuse)


@pytest.mark.usefixtures("away")
def test_counts_by_itself_while_the_cache_is_away(api, caplog):
    assert fail("/_/token", LIMIT + 2, api) == [401] * LIMIT + [429, 429]
    assert "limits count per process" in caplog.text
    assert "password" not in caplog.text


@pytest.mark.usefixtures("away")
def test_takes_usable_credentials_while_the_cache_is_away(api):
    assert DOORS["/_/token"](api, GENUINE["/_/token"]()).status_code == 200


def test_goes_on_in_the_cache_once_it_is_back(api, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(LocMemCache, "incr", lambda *args, **kwargs: 1 / 0)
        fail("/_/token", 1, api)
    assert fail("/_/token", LIMIT + 1, api) == [401] * LIMIT + [429]


def test_forgets_counts_by_itself_in_time(away, clock, monkeypatch):
    monkeypatch.setattr(throttling, "MAX_REMEMBERED", 10)
    for number in range(100):
        throttling.count("failures", f"192.0.2.{number}", limit=LIMIT)
        assert len(throttling._counts_without_cache) <= 10


def test_remembers_no_more_addresses_than_it_may(monkeypatch):
    monkeypatch.setattr(throttling, "MAX_REMEMBERED", 10)
    for number in range(100):
        for _ in range(LIMIT):
            throttling.count("failures", f"192.0.2.{number}", limit=LIMIT)
        with pytest.raises(TooManyFailures):
            throttling.count("failures", f"192.0.2.{number}", limit=LIMIT)
    assert len(throttling._blocked) <= 10


def test_keeps_a_count_no_longer_than_it_needs_it(monkeypatch):
    kept = []
    monkeypatch.setattr(cache, "add", lambda key, value, timeout: kept.append((key, timeout)), raising=False)
    monkeypatch.setattr(cache, "incr", lambda key: 1, raising=False)
    throttling.count("failures", HOME, limit=LIMIT)
    ((key, timeout),) = kept
    assert HOME in key
    assert 60 < timeout <= 120


def forwarded(value, address=HOME):
    """One failure that says it was forwarded."""
    client = at(address)
    return client.call("GET", "/_/token", bearer="x.y.z", headers={"X-Forwarded-For": value}).status_code


def test_believes_no_forwarded_address_without_a_trusted_proxy():
    assert [forwarded(f"192.0.2.{number}") for number in range(LIMIT + 1)] == [401] * LIMIT + [429]


def test_counts_the_forwarded_address_behind_a_trusted_proxy(settings):
    settings.TRUSTED_PROXIES = ["127.0.0.0/8"]
    assert [forwarded(f"192.0.2.{number}") for number in range(20)] == [401] * 20
    assert [forwarded("192.0.2.100") for _ in range(LIMIT + 1)] == [401] * LIMIT + [429]
    assert fail("/_/token", 1, at(AWAY)) == [401]


def test_counts_what_the_proxy_itself_has_seen_whatever_the_client_claims(settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    claims = [f"198.51.100.{number}, 192.0.2.7" for number in range(LIMIT + 1)]
    assert [forwarded(claim) for claim in claims] == [401] * LIMIT + [429]


def test_believes_no_chain_that_a_stranger_begins(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.1", "127.0.0.1"]
    claims = [f"198.51.100.{number}, 10.0.0.1" for number in range(LIMIT + 1)]
    assert [forwarded(claim, AWAY) for claim in claims] == [401] * LIMIT + [429]


def test_goes_back_through_several_trusted_proxies(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "127.0.0.1"]
    assert [forwarded("192.0.2.7, 10.1.1.1, 10.0.0.2") for _ in range(LIMIT)] == [401] * LIMIT
    assert forwarded("192.0.2.7, 10.9.9.9") == 429
    assert forwarded("192.0.2.8, 10.1.1.1, 10.0.0.2") == 401


class Crowded(dict[Any, Any]):
    """What a process remembers, with another thread that has its turn when this one looks for the oldest."""

    def __init__(self, turn):
        super().__init__()
        self.thread = threading.Thread(target=turn)

    def __iter__(self):
        keys = list(super().__iter__())
        if self.thread.ident is None:
            self.thread.start()
            self.thread.join(0.5)
        return iter(keys)


def exceed(address):
    """Fail more often than the limit allows."""
    for _ in range(LIMIT):
        throttling.count("failures", address, limit=LIMIT)
    with pytest.raises(TooManyFailures):
        throttling.count("failures", address, limit=LIMIT)


def test_remembers_no_more_addresses_than_it_may_when_threads_add_them_at_once(monkeypatch):
    blocked = Crowded(lambda: exceed("192.0.2.3"))
    monkeypatch.setattr(throttling, "_blocked", blocked)
    monkeypatch.setattr(throttling, "MAX_REMEMBERED", 2)
    for number in (0, 1, 2):
        exceed(f"192.0.2.{number}")
    blocked.thread.join(10)
    assert set(blocked) == {("failures", "192.0.2.2"), ("failures", "192.0.2.3")}


class Forgetful(dict[Any, Any]):
    """What a process counts, with another thread that has its turn, and forgets all, after each count."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.clear()


@pytest.mark.usefixtures("away")
def test_counts_by_itself_when_another_thread_forgets_meanwhile(monkeypatch):
    monkeypatch.setattr(throttling, "_counts_without_cache", Forgetful())
    throttling.count("failures", HOME, limit=LIMIT)
