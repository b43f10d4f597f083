"""`EDI_MAX_SESSION_HOURS`: how a session begins. (How a chain of refreshes ends is in `test_refresh.py`.)"""

import pytest

from tests.edi_auth.forge import HOURS_8, KEY, REFRESH, SECONDS, UID, edi, pasta, read_edi, read_pasta
from tests.factories import ApiKeyFactory, GroupFactory, ProfileFactory, secret_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def by_key(api):
    return api.call("POST", KEY, {"key": secret_of(ApiKeyFactory())})


def by_key_of_a_group(api):
    return api.call("POST", KEY, {"key": secret_of(ApiKeyFactory(group=GroupFactory()))})


def by_service(api):
    return api.call("POST", f"/auth/v1/token/{ProfileFactory().edi_id}", {"key": "a-service-key"})


every_beginning = pytest.mark.parametrize("begin", [by_key, by_key_of_a_group, by_service])


@pytest.fixture(autouse=True)
def service_key(settings):
    settings.EDI_SERVICE_KEY = "a-service-key"


@every_beginning
def test_adds_no_claim_where_there_is_no_limit(api, begin):
    assert "auth_time" not in read_edi(begin(api).json()["edi-token"])


@every_beginning
@pytest.mark.parametrize("hours", [1, 8, 24])
def test_notes_when_the_session_began(api, settings, begin, hours):
    settings.EDI_MAX_SESSION_HOURS = hours
    assert read_edi(begin(api).json()["edi-token"])["auth_time"] == SECONDS


@every_beginning
@pytest.mark.parametrize(("hours", "seconds"), [(1, 3600), (7, 7 * 3600), (8, HOURS_8), (24, HOURS_8)])
def test_ends_both_first_tokens_no_later_than_the_session(api, settings, begin, hours, seconds):
    settings.EDI_MAX_SESSION_HOURS = hours
    body = begin(api).json()
    assert read_edi(body["edi-token"])["exp"] == SECONDS + seconds
    assert int(read_pasta(body["pasta-token"])[2]) == (SECONDS + seconds) * 1000


@every_beginning
def test_begins_anew_with_a_new_exchange(api, settings, begin, clock):
    settings.EDI_MAX_SESSION_HOURS = 10
    begin(api)
    clock.shift(20 * 3600)
    assert read_edi(begin(api).json()["edi-token"])["auth_time"] == SECONDS + 20 * 3600


def test_keeps_the_beginning_through_refreshes(api, settings, clock, snapshot):
    settings.EDI_MAX_SESSION_HOURS = 24
    snapshot.renew()
    body = by_key(api).json()
    for _ in range(3):
        clock.shift(7 * 3600)
        body = api.call("POST", REFRESH, {name: body[name] for name in ("pasta-token", "edi-token")}).json()
        assert read_edi(body["edi-token"])["auth_time"] == SECONDS


def test_forgets_no_beginning_when_the_limit_is_lifted_and_set_again(api, settings, clock):
    settings.EDI_MAX_SESSION_HOURS = 24
    body = api.call("POST", REFRESH, {"pasta-token": pasta(), "edi-token": edi()}).json()
    settings.EDI_MAX_SESSION_HOURS = 0
    clock.shift(7 * 3600)
    body = api.call("POST", REFRESH, {name: body[name] for name in ("pasta-token", "edi-token")}).json()
    assert read_edi(body["edi-token"])["auth_time"] == SECONDS
    settings.EDI_MAX_SESSION_HOURS = 6
    tokens = {name: body[name] for name in ("pasta-token", "edi-token")}
    assert api.call("POST", REFRESH, tokens).status_code == 401
    assert read_pasta(body["pasta-token"])[0] == UID
