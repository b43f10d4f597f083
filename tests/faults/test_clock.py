"""The clock: boundaries, the year 9999, steps back and forward, days that are longer or shorter than others."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.client import APIClient
from tests.factories import ApiKeyFactory, NamedTokenFactory, PublisherFactory, secret_of, value_of
from tokens.core.commands import Usage, moment

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


def test_serves_in_the_last_hours_that_there_are(time_machine, bearer):
    time_machine.move_to(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), tick=False)
    assert APIClient().call("GET", "/_/token", bearer=bearer).status_code == 200
    assert APIClient().call("POST", "/_/token", {"name": "last"}, bearer=bearer).status_code == 201


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
