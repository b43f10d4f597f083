"""The clock: boundaries, the year 9999, steps back and forward, days that are longer or shorter than others."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edi_auth import services as edi_services
from edi_auth.models import ApiKey
from podcast_perf import services as podcast_services
from tests.client import APIClient
from tests.factories import (
    ApiKeyFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    ProfileFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tokens.core.command_line import Usage
from tokens.core.commands import moment
from tokens.core.operations import counters, notices
from tokens.core.times import LAST as LAST_MOMENT
from tokens.core.times import later

pytestmark = pytest.mark.django_db

END = datetime(2027, 3, 28, 1, 0, tzinfo=UTC)  # the hour that Europe's clocks leave out
TICK = timedelta(milliseconds=1)
LAST = 253_402_300_799_999  # the last millisecond of the year 9999


def is_listed(value):
    return APIClient().call("GET", "/_/token", bearer=value).status_code == 200


def is_exchanged(secret):
    return APIClient().call("POST", "/auth/v1/key", {"key": secret}).status_code == 200


def is_minted(key):
    return APIClient().call("GET", "/token", headers={"X-PUB-KEY": key}).status_code == 200


DOORS = {
    "named token": (NamedTokenFactory, value_of, is_listed),
    "API key": (ApiKeyFactory, secret_of, is_exchanged),
    "publisher": (PublisherFactory, secret_of, is_minted),
}


@pytest.mark.parametrize("door", DOORS)
def test_ends_on_the_tick_it_expires(time_machine, door):
    make, credential_of, is_accepted = DOORS[door]
    credential = credential_of(make(expires_at=END))
    for now, accepted in ((END - TICK, True), (END, False), (END + TICK, False)):
        time_machine.move_to(now, tick=False)
        assert is_accepted(credential) is accepted


@pytest.mark.parametrize("door", ["API key", "publisher"])
def test_begins_on_the_tick_it_starts(time_machine, door):
    make, credential_of, is_accepted = DOORS[door]
    credential = credential_of(make(starts_at=END))
    for now, accepted in ((END - TICK, False), (END, True), (END + TICK, True)):
        time_machine.move_to(now, tick=False)
        assert is_accepted(credential) is accepted


@pytest.mark.parametrize("door", DOORS)
def test_lives_again_when_the_clock_is_set_back(time_machine, door):
    """A clock that ran ahead by mistake has ended nothing for good."""
    make, credential_of, is_accepted = DOORS[door]
    credential = credential_of(make(expires_at=END))
    seen = []
    for now in (END - timedelta(days=1), END + timedelta(days=365), END - timedelta(hours=1)):
        time_machine.move_to(now, tick=False)
        seen.append(is_accepted(credential))
    assert seen == [True, False, True]


def test_renews_tokens_across_a_step_of_the_clock(time_machine, snapshot):
    time_machine.move_to(END, tick=False)
    body = pair_of(secret_of(ApiKeyFactory()))
    statuses = []
    for step in (timedelta(hours=1), timedelta(hours=-1), timedelta(hours=8)):
        time_machine.move_to(END + step, tick=False)
        statuses.append(APIClient().call("POST", "/auth/v1/token/refresh", body).status_code)
    # An hour on, before it was made (not valid yet), and at its end (expired).
    assert statuses == [200, 401, 401]


def pair_of(secret):
    answer = APIClient().call("POST", "/auth/v1/key", {"key": secret}).json()
    return {name: answer[name] for name in ("pasta-token", "edi-token")}


def test_keeps_a_token_to_the_end_of_the_year_9999(bearer, time_machine):
    created = APIClient().call("POST", "/_/token", {"name": "old", "expiration_date": LAST}, bearer=bearer)
    assert created.json()["data"][0]["expiration_date"] == LAST
    value = created.json()["data"][0]["token"]
    assert APIClient().call("POST", "/introspect", {"token": value}, bearer=bearer).json()["exp"] == LAST // 1000
    assert is_listed(value)


@pytest.mark.parametrize("late", [LAST + 1, 2**63, 10**30])
def test_keeps_none_beyond_it(bearer, late):
    answer = APIClient().call("POST", "/_/token", b'{"name": "x", "expiration_date": %d}' % late, bearer=bearer)
    assert answer.status_code == 400
    assert "expiration_date" in answer.json()["error"]


LAST_HOURS = [datetime(9999, 12, 31, hour, 59, 58, tzinfo=UTC) for hour in (16, 23)]


@pytest.fixture(params=LAST_HOURS, ids=["last day", "last hour"])
def last_hours(request, time_machine, settings):
    """Nothing that is made now could last as long as it should."""
    settings.EDI_TOKEN_HOURS, settings.EXPIRES_IN = 24, "24"
    for kind in ("NAMED_TOKEN", "API_KEY", "PUBLISHER"):
        setattr(settings, f"{kind}_DEFAULT_LIFETIME", timedelta(days=30))
        setattr(settings, f"{kind}_MAX_LIFETIME", timedelta(days=90))
    time_machine.move_to(request.param, tick=False)
    return request.param


def test_mints_in_the_last_hours_that_there_are(last_hours, bearer, actor):
    key, publisher = edi_services.mint_key("last", owner=ProfileFactory(), actor=actor), PublisherFactory()
    performance = APIClient().call("GET", "/token", headers={"X-PUB-KEY": secret_of(publisher)}).json()["token"]
    named = APIClient().call("POST", "/_/token", {"name": "last"}, bearer=bearer).json()["data"][0]
    assert named["expiration_date"] == LAST
    added = podcast_services.add_publisher("last", actor=actor)
    pair = pair_of(key.secret)
    renewed = APIClient().call("POST", "/auth/v1/token/refresh", pair).json()
    made = [performance, named["token"], added.secret, key.secret, *pair.values(), renewed["edi-token"]]
    introspected = [APIClient().call("POST", "/introspect", {"token": each}, bearer=bearer).json() for each in made]
    assert [(answer["active"], answer["exp"]) for answer in introspected] == [(True, LAST // 1000)] * len(made)


def test_rotates_in_the_last_hours_that_there_are(last_hours, bearer, actor):
    token, publisher, key = NamedTokenFactory(), PublisherFactory(), ApiKeyFactory()
    asked = {"name": token.name, "grace": 86_400_000}
    rotated = APIClient().call("POST", "/_/token/rotate", asked, bearer=bearer)
    assert rotated.status_code == 200, rotated.content
    podcast_services.rotate_publisher(publisher, actor=actor)
    edi_services.rotate_key(key, actor=actor)
    for row in (token, publisher, key):
        row.refresh_from_db()
        assert row.previous_valid_until == later(last_hours, timedelta(hours=24)) == LAST_MOMENT


def test_counts_and_tells_and_purges_in_the_last_hours_that_there_are(last_hours, actor):
    PerformanceTokenFactory(created_at=last_hours - timedelta(days=60))
    ApiKeyFactory(expires_at=LAST_MOMENT)
    assert podcast_services.purge(actor=actor, older_than=timedelta(days=30), batch=10).deleted == 1
    assert [expiry.days for expiry in notices.expiring(last_hours)] == [1]
    notices.notify(last_hours)
    assert counters.count_stock(ApiKey, now=last_hours)["expiring"] == 1
    assert counters.minted([ApiKey], days=2, now=last_hours)["api_key"][-1] == 1


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_counts_hours_where_clocks_are_changed(time_machine, zone, monkeypatch):
    """An hour is an hour, whatever the clocks on the walls do."""
    before = datetime(2027, 3, 13, 23, tzinfo=UTC) if zone == "America/New_York" else END - timedelta(hours=2)
    time_machine.move_to(before.astimezone(ZoneInfo(zone)), tick=False)
    token = APIClient().call("GET", "/token", headers={"X-PUB-KEY": secret_of(PublisherFactory())}).json()["token"]
    bearer = value_of(NamedTokenFactory())
    seen = []
    for length in (timedelta(hours=1) - timedelta(seconds=1), timedelta(hours=1)):
        time_machine.move_to(before + length, tick=False)
        answer = APIClient().call("POST", "/introspect", {"token": token}, bearer=bearer)
        seen.append(answer.json()["active"])
    assert seen == [True, False]


@pytest.mark.parametrize("raw", ["2016-12-31T23:59:60Z", "2027-02-29", "2027-13-01", "10000-01-01"])
def test_refuses_a_moment_that_the_calendar_does_not_have(raw):
    with pytest.raises(Usage):
        moment(raw)
