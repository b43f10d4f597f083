"""Credentials of one kind at the doors of every other: the whole matrix."""

import pytest

from tests.attacks.doors import DOORS
from tests.contracts.specimens import SPECIMENS
from tokens.core.models import State

pytestmark = pytest.mark.django_db

SORT = "a credential at the door of another kind"
OWN = {
    "named_token": {"list", "mint", "ask", "introspect"},
    "publisher": {"fetch", "introspect"},
    "performance_token": {"introspect"},
    "api_key": {"exchange", "introspect"},
    "edi_token": {"refresh-edi", "introspect"},
    "pasta_token": {"refresh-pasta", "introspect"},
}
MATRIX = [(kind, door) for kind in SPECIMENS for door in DOORS if door not in OWN[kind]]


def test_knows_the_doors_of_every_kind():
    assert set(OWN) == set(SPECIMENS)
    assert set().union(*OWN.values()) <= set(DOORS)


@pytest.mark.parametrize(("kind", "door"), MATRIX, ids=[f"{kind}-{door}" for kind, door in MATRIX])
def test_opens_to_no_other_kind(refuses, snapshot, kind, door):
    raw, _ = SPECIMENS[kind].make(State.ACTIVE, snapshot)
    for disguise in (raw, f"{raw} ", raw.upper(), raw[::-1]):
        assert refuses(door, disguise)


@pytest.mark.parametrize(("kind", "door"), MATRIX, ids=[f"{kind}-{door}" for kind, door in MATRIX])
def test_opens_to_no_dead_credential_of_another_kind(refuses, snapshot, kind, door):
    for state in SPECIMENS[kind].states:
        raw, _ = SPECIMENS[kind].make(state, snapshot)
        assert refuses(door, raw)


@pytest.mark.parametrize(
    ("kind", "door", "status"),
    [
        ("named_token", "list", 200),
        ("named_token", "mint", 201),
        ("publisher", "fetch", 200),
        ("api_key", "exchange", 200),
    ],
)
def test_opens_to_its_own_kind(api, snapshot, kind, door, status):
    raw, _ = SPECIMENS[kind].make(State.ACTIVE, snapshot)
    assert DOORS[door][0](api, raw).status_code == status


@pytest.mark.parametrize("hint", [*SPECIMENS, "access_token", "refresh_token", "", "x" * 1000])
@pytest.mark.parametrize("kind", SPECIMENS)
def test_lets_no_hint_make_one_kind_another(api, bearer, snapshot, tried, kind, hint):
    raw, _ = SPECIMENS[kind].make(State.ACTIVE, snapshot)
    tried()
    response = api.call("POST", "/introspect", {"token": raw, "token_type_hint": hint}, bearer=bearer)
    assert response.json()["kind"] == kind
