"""Every state at every HTTP door: one predicate decides, and no door forgot it."""

import pytest
from django.utils import timezone

from edi_auth import services
from edi_auth.models import PUBLIC
from edi_auth.pasta import PastaToken, sign
from tests.contracts.specimens import SPECIMENS
from tests.factories import ApiKeyFactory, GroupFactory, NamedTokenFactory, secret_of, value_of
from tokens.core.models import State

pytestmark = pytest.mark.django_db

SYSTEM = "https://pasta.edirepository.org/authentication"


def list_tokens(api, raw):
    return api.call("GET", "/_/token", bearer=raw)


def create_token(api, raw):
    return api.call("POST", "/_/token", {"name": "another"}, bearer=raw)


def read_value(api, raw):
    return api.call("GET", "/_/token/value?name=nobody", bearer=raw)


def fetch(api, raw):
    return api.call("GET", "/token", headers={"X-PUB-KEY": raw})


def look(api, raw):
    return api.call("HEAD", "/token", headers={"X-PUB-KEY": raw})


def exchange(api, raw):
    return api.call("POST", "/auth/v1/key", {"key": raw})


def refresh_edi(api, raw):
    claims = services.ring().verify(raw)
    pasta = sign(PastaToken(claims["idpUid"], SYSTEM, 1))
    return api.call("POST", "/auth/v1/token/refresh", {"pasta-token": pasta, "edi-token": raw})


def introspect(api, raw):
    asker = value_of(NamedTokenFactory(name="asker", can_write=False))
    return api.call("POST", "/introspect", {"token": raw}, bearer=asker)


BEARER = {State.ACTIVE: 200, "otherwise": 401}
DOORS = [
    ("named_token", list_tokens, BEARER),
    ("named_token", create_token, {State.ACTIVE: 201, "otherwise": 401}),
    ("named_token", read_value, {State.ACTIVE: 404, "otherwise": 401}),
    ("publisher", fetch, {State.ACTIVE: 200, "otherwise": 400}),
    ("publisher", look, {State.ACTIVE: 200, "otherwise": 400}),
    (
        "api_key",
        exchange,
        {
            State.ACTIVE: 200,
            State.PENDING: 401,
            State.EXPIRED: 401,
            State.INACTIVE: 403,
            State.LOCKED: 403,
            State.REVOKED: 403,
        },
    ),
    (
        "edi_token",
        refresh_edi,
        {State.ACTIVE: 200, State.PENDING: 401, State.EXPIRED: 401, State.LOCKED: 403, State.REVOKED: 403},
    ),
]
CASES = [
    pytest.param(kind, door, state, statuses.get(state, statuses.get("otherwise")), id=f"{door.__name__}-{state}")
    for kind, door, statuses in DOORS
    for state in SPECIMENS[kind].states
]


@pytest.mark.parametrize(("kind", "door", "state", "status"), CASES)
def test_opens_to_what_is_usable_and_nothing_else(api, snapshot, kind, door, state, status):
    raw, _ = SPECIMENS[kind].make(state, snapshot)
    assert door(api, raw).status_code == status


@pytest.mark.parametrize(
    ("kind", "state"), [(kind, state) for kind, specimen in SPECIMENS.items() for state in specimen.states]
)
def test_says_active_of_what_is_usable_and_nothing_of_the_rest(api, snapshot, kind, state):
    raw, _ = SPECIMENS[kind].make(state, snapshot)
    said = introspect(api, raw).json()
    if state == State.ACTIVE:
        assert (said["active"], said["kind"]) == (True, kind)
    else:
        assert said == {"active": False}


@pytest.mark.parametrize("kind", SPECIMENS)
def test_ends_what_somebody_has_found(api, snapshot, kind):
    raw, _ = SPECIMENS[kind].make(State.ACTIVE, snapshot)
    assert api.call("POST", "/revoke", {"token": raw}).status_code == 200
    snapshot.renew()
    assert introspect(api, raw).json() == {"active": False}


@pytest.mark.parametrize("door", [list_tokens, fetch, exchange])
@pytest.mark.parametrize("kind", SPECIMENS)
def test_opens_to_no_credential_of_another_door(api, snapshot, kind, door):
    own = {list_tokens: "named_token", fetch: "publisher", exchange: "api_key"}
    raw, _ = SPECIMENS[kind].make(State.ACTIVE, snapshot)
    assert (door(api, raw).status_code == 200) is (own[door] == kind)


def test_counts_no_use_of_a_key_that_it_refuses(api):
    key = ApiKeyFactory(is_active=False)
    exchange(api, secret_of(key))
    key.refresh_from_db()
    assert (key.use_count, key.last_used_at) == (0, None)


def test_refuses_the_key_of_a_locked_group(api):
    key = ApiKeyFactory(group=GroupFactory(locked_at=timezone.now()))
    assert exchange(api, secret_of(key)).status_code == 403


def test_refuses_to_renew_the_tokens_of_a_locked_group(api, snapshot):
    group = GroupFactory()
    pair = exchange(api, secret_of(ApiKeyFactory(group=group))).json()
    body = {"pasta-token": pair["pasta-token"], "edi-token": pair["edi-token"]}
    assert api.call("POST", "/auth/v1/token/refresh", body).status_code == 200
    group.locked_at = timezone.now()
    group.save()
    snapshot.renew()
    assert api.call("POST", "/auth/v1/token/refresh", body).status_code == 403


def test_lets_the_tokens_of_public_revive_nobody_else(api):
    pair = exchange(api, secret_of(ApiKeyFactory())).json()
    body = {"pasta-token": sign(PastaToken(PUBLIC, SYSTEM, 1)), "edi-token": pair["edi-token"]}
    assert api.call("POST", "/auth/v1/token/refresh", body).status_code == 403
