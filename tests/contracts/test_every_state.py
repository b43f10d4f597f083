"""The whole table: every condition that a credential can be in, at every door that it can be presented at.

The conditions are the states, their boundaries to the microsecond, a previous secret in its grace and after it, and the
locks of an owner and of a group.
"""

import io
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from edi_auth import claims, services
from edi_auth.models import PUBLIC
from edi_auth.pasta import PastaToken, sign
from tests.admin.test_verbs import ANSWERS
from tests.contracts.specimens import HOUR, OBSTACLES, SPECIMENS
from tests.edi_auth.forge import KEY, NOW, REFRESH, SYSTEM
from tests.factories import (
    ApiKeyFactory,
    GroupFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    ProfileFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tokens.core.models import Credential, RotatableCredential, State

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

MOMENT, SECOND = timedelta(microseconds=1), timedelta(seconds=1)


@dataclass(frozen=True)
class Condition:
    """What a stored credential is like, whether it is usable then, and whether its previous secret is presented."""

    is_usable: bool
    fields: dict[str, Any] = field(default_factory=dict)
    grace_ends: datetime | None = None
    is_previous: bool = False


STATES = {str(state): Condition(state == State.ACTIVE, make(NOW)) for state, make in OBSTACLES.items()}
BOUNDARIES = {
    "begins now": Condition(True, {"starts_at": NOW}),
    "begins in a moment": Condition(False, {"starts_at": NOW + MOMENT}),
    "ends in a moment": Condition(True, {"created_at": NOW - HOUR, "expires_at": NOW + MOMENT}),
    "ends now": Condition(False, {"created_at": NOW - HOUR, "expires_at": NOW}),
}
ROTATED = {
    "rotated": Condition(True, grace_ends=NOW + HOUR),
    "rotated, previous": Condition(True, grace_ends=NOW + HOUR, is_previous=True),
    "rotated, previous, grace ends in a moment": Condition(True, grace_ends=NOW + MOMENT, is_previous=True),
    "rotated, previous, grace ends now": Condition(False, grace_ends=NOW, is_previous=True),
    "rotated, previous, grace is over": Condition(False, grace_ends=NOW - HOUR, is_previous=True),
    **{
        f"rotated, previous, {name}": Condition(
            condition.is_usable, condition.fields, grace_ends=NOW + HOUR, is_previous=True
        )
        for name, condition in {**STATES, **BOUNDARIES}.items()
    },
}
LOCKS = {
    "owner locked": lambda: {"owner": ProfileFactory(locked_at=NOW)},
    "group locked": lambda: {"group": GroupFactory(locked_at=NOW)},
    "owner of a group's key locked": lambda: {"owner": ProfileFactory(locked_at=NOW), "group": GroupFactory()},
    "owner ended all tokens": lambda: {"owner": ProfileFactory(tokens_valid_after=NOW)},
}
KINDS: dict[str, tuple[Any, Callable[[Any], str]]] = {
    "named_token": (NamedTokenFactory, value_of),
    "performance_token": (PerformanceTokenFactory, value_of),
    "publisher": (PublisherFactory, secret_of),
    "api_key": (ApiKeyFactory, secret_of),
}


def made(kind: str, condition: Condition, **more: Any) -> tuple[str, Credential]:
    """What is presented of a new credential of that kind in that condition, and its row."""
    factory, present = KINDS[kind]
    row = factory(**condition.fields, **more)
    raw = present(row)
    if condition.grace_ends is not None:
        row.previous_fingerprint = str(getattr(row, row.fingerprint_field))
        setattr(row, row.fingerprint_field, uuid.uuid4() if kind == "named_token" else "0" * 64)
        row.rotated_at, row.previous_valid_until = NOW - HOUR, condition.grace_ends
        row.save()
        if kind == "named_token" and not condition.is_previous:
            raw = value_of(row)
        elif not condition.is_previous:
            row.key_hash, row.previous_fingerprint = row.previous_fingerprint, row.key_hash
            row.save()
    return raw, row


def stored() -> Iterator[tuple[str, str]]:
    """Every stored kind with the name of every condition that it can be in."""
    for kind, (factory, _) in KINDS.items():
        rotated = ROTATED if issubclass(factory._meta.model, RotatableCredential) else {}
        locks = LOCKS if kind == "api_key" else {}
        yield from ((kind, name) for name in (*STATES, *BOUNDARIES, *rotated, *locks))


CASES = list(stored())


def make_stored(kind: str, name: str) -> tuple[str, Credential, bool]:
    """What is presented, its row, and whether every door must open to it."""
    if name in LOCKS:
        raw, row = made(kind, Condition(False), **LOCKS[name]())
        return raw, row, name == "owner ended all tokens"
    condition = {**STATES, **BOUNDARIES, **ROTATED}[name]
    raw, row = made(kind, condition)
    return raw, row, condition.is_usable


def bearer_of(raw: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {raw}"}


def introspects(api, raw):
    asker = value_of(NamedTokenFactory(name="asker", can_write=False))
    answer = api.call("POST", "/introspect", {"token": raw}, bearer=asker).json()
    assert answer == {"active": False} or answer["active"] is True
    return answer["active"]


def opened(api, method, path, body=None, headers=None):
    """Whether a door opened, in the one way that it opens."""
    status = api.call(method, path, body, headers=headers).status_code
    assert status in {200, 201, 400, 401, 403}
    return status in {200, 201}


# A write token may rotate, change and end itself: what these leave behind is not looked at here.
DOORS: dict[str, dict[str, Callable[[Any, str], bool]]] = {
    "named_token": {
        "list": lambda api, raw: opened(api, "GET", "/_/token", headers=bearer_of(raw)),
        "create": lambda api, raw: opened(api, "POST", "/_/token", {"name": "new"}, headers=bearer_of(raw)),
        "update": lambda api, raw: opened(api, "PUT", "/_/token", {"name": "other"}, headers=bearer_of(raw)),
        "rotate": lambda api, raw: opened(api, "POST", "/_/token/rotate", {"name": "other"}, headers=bearer_of(raw)),
        "rotation": lambda api, raw: opened(api, "GET", "/_/token/rotate?name=other", headers=bearer_of(raw)),
        "value": lambda api, raw: opened(api, "GET", "/_/token/value?name=other", headers=bearer_of(raw)),
        "delete": lambda api, raw: opened(api, "DELETE", "/_/token", {"name": "other"}, headers=bearer_of(raw)),
        "ask": lambda api, raw: opened(api, "POST", "/introspect", {"token": "x"}, headers=bearer_of(raw)),
        "revoke": lambda api, raw: opened(api, "POST", "/revoke", {"token": "x"}, headers=bearer_of(raw)),
        "introspect": introspects,
    },
    "performance_token": {"introspect": introspects},
    "publisher": {
        "fetch": lambda api, raw: opened(api, "GET", "/token", headers={"X-PUB-KEY": raw}),
        "look": lambda api, raw: opened(api, "HEAD", "/token", headers={"X-PUB-KEY": raw}),
        "introspect": introspects,
    },
    "api_key": {"exchange": lambda api, raw: opened(api, "POST", KEY, {"key": raw}), "introspect": introspects},
}


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_opens_every_door_to_what_is_usable_and_none_to_the_rest(api, kind, name):
    NamedTokenFactory(name="other")
    raw, _, is_usable = make_stored(kind, name)
    opened_to = {door: present(api, raw) for door, present in DOORS[kind].items()}
    assert opened_to == dict.fromkeys(DOORS[kind], is_usable)


def test_has_every_kind_in_the_table():
    assert {*KINDS, "edi_token", "pasta_token"} == set(SPECIMENS)


@pytest.mark.parametrize("is_writer", [False, True], ids=["finder", "writer"])
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_ends_what_works_and_for_a_writer_what_could_come_back(api, kind, name, is_writer):
    """A previous secret whose grace is over ends nothing, and neither does what has expired."""
    writer = value_of(NamedTokenFactory(name="writer"))
    raw, row, is_usable = make_stored(kind, name)
    was_revoked, is_genuine = row.revoked_at is not None, "grace ends now" not in name and "is over" not in name
    comes_back = row.state in {State.INACTIVE, State.LOCKED, State.PENDING}
    assert api.call("POST", "/revoke", {"token": raw}, bearer=writer if is_writer else None).status_code == 200
    row.refresh_from_db()
    ends = is_usable or (is_writer and is_genuine and comes_back)
    assert (row.revoked_at is not None) is (ends or was_revoked)
    assert not introspects(api, raw)


@pytest.mark.parametrize("name", [*STATES, *BOUNDARIES, *ROTATED])
def test_reads_back_rotates_and_changes_whatever_was_not_revoked(api, bearer, name):
    """What is done to a token asks for its name and not for its state; nothing of it makes a dead one usable."""
    _, row, _ = make_stored("named_token", name)
    expected = 404 if row.revoked_at else 200
    shown = [token["name"] for token in api.call("GET", "/_/token", bearer=bearer).json()["data"]]
    assert (row.name in shown) is (expected == 200)
    value = api.call("GET", f"/_/token/value?name={row.name}", bearer=bearer)
    assert value.status_code == expected
    assert api.call("PUT", "/_/token", {"name": row.name}, bearer=bearer).status_code == expected
    rotated = api.call("POST", "/_/token/rotate", {"name": row.name}, bearer=bearer)
    assert rotated.status_code == expected
    if expected == 200:
        current = value.json()["data"][0]["token"]
        is_usable = row.state == State.ACTIVE
        assert introspects(api, rotated.json()["data"][0]["token"]) is is_usable
        NamedTokenFactory._meta.model.objects.filter(name="asker").delete()
        assert introspects(api, current) is is_usable
    assert api.call("DELETE", "/_/token", {"name": row.name}, bearer=bearer).status_code == expected


@pytest.mark.parametrize(("kind", "name"), [case for case in CASES if case[0] != "performance_token"])
def test_rotates_by_hand_what_was_not_revoked_and_makes_nothing_usable(admin_client, api, kind, name):
    _, row, _ = make_stored(kind, name)
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_verb", args=["rotate"])
    context = admin_client.post(address, {"id": [row.pk], **ANSWERS}).context
    secret = (context or {}).get("secret")
    assert (secret is not None) is (row.revoked_at is None)
    if secret is not None:
        row.refresh_from_db()
        assert introspects(api, secret) is (row.state == State.ACTIVE)


@pytest.mark.parametrize(("kind", "name"), [case for case in CASES if case[0] in {"named_token", "api_key"}])
def test_rotates_by_command_what_was_not_revoked_and_makes_nothing_usable(api, kind, name):
    _, row, _ = make_stored(kind, name)
    command = ("rotate_token", row.name) if kind == "named_token" else ("rotate_api_key", str(row.pk))
    out = io.StringIO()
    if row.revoked_at is not None:
        with pytest.raises(CommandError):
            call_command(*command, "--json", stdout=out)
        assert out.getvalue() == ""
        return
    call_command(*command, "--json", stdout=out)
    made = json.loads(out.getvalue())
    row.refresh_from_db()
    assert introspects(api, made["token" if kind == "named_token" else "key"]) is (row.state == State.ACTIVE)


@pytest.mark.parametrize("name", [*STATES, *BOUNDARIES])
def test_lists_by_command_what_was_not_revoked_with_its_state(name):
    _, row, _ = make_stored("named_token", name)
    out = io.StringIO()
    call_command("list_tokens", "--json", stdout=out)
    listed = {token["name"]: token["state"] for token in json.loads(out.getvalue())["rows"]}
    assert listed == ({} if row.revoked_at else {row.name: str(row.state)})


@dataclass(frozen=True)
class Signed:
    """Tokens of which no row is kept: when they were issued, and what became of whom they were made for."""

    issued: datetime
    is_usable: bool
    principal: dict[str, Any] = field(default_factory=dict)


HOURS = timedelta(hours=8)
EDI = {
    "active": Signed(NOW - HOUR, True),
    "begins now": Signed(NOW, True),
    "begins in a second": Signed(NOW + SECOND, False),
    "ends in a second": Signed(NOW - HOURS + SECOND, True),
    "ends now": Signed(NOW - HOURS, False),
    "expired": Signed(NOW - HOURS - HOUR, False),
    "locked": Signed(NOW - HOUR, False, {"locked_at": NOW}),
    "revoked": Signed(NOW - HOUR, False, {"tokens_valid_after": NOW}),
    "revoked before it was issued": Signed(NOW - HOUR, True, {"tokens_valid_after": NOW - 2 * HOUR}),
}


def pair_of(signed: Signed, *, is_group: bool) -> dict[str, str]:
    """Both tokens of a new profile or group, as if they had been issued then."""
    if is_group:
        made, uid = claims.of_group(GroupFactory(**signed.principal), now=signed.issued), PUBLIC
    else:
        profile = ProfileFactory(**signed.principal)
        made, uid = claims.of_profile(profile, groups=[], links=[], now=signed.issued), profile.uid
    pasta = sign(PastaToken(uid, SYSTEM, claims.pasta_ttl(signed.issued)))
    return {"pasta-token": pasta, "edi-token": services.ring().sign(made)}


@pytest.mark.parametrize("is_group", [False, True], ids=["profile", "group"])
@pytest.mark.parametrize("name", EDI)
def test_refreshes_and_describes_the_edi_token_of_whoever_may_have_one(api, snapshot, name, is_group):
    signed = EDI[name]
    pair = pair_of(signed, is_group=is_group)
    snapshot.renew()
    assert opened(api, "POST", REFRESH, pair) is signed.is_usable
    assert introspects(api, pair["edi-token"]) is signed.is_usable


@pytest.mark.parametrize("name", [name for name in EDI if not name.startswith("begins")])
def test_describes_the_pasta_token_of_whoever_may_have_one(api, snapshot, name):
    pair = pair_of(EDI[name], is_group=False)
    snapshot.renew()
    assert introspects(api, pair["pasta-token"]) is EDI[name].is_usable


@pytest.mark.parametrize("name", [name for name in EDI if not name.startswith("begins")])
def test_renews_an_expired_pasta_token_beside_an_edi_token_that_holds(api, snapshot, name):
    old = pair_of(EDI[name], is_group=False)
    snapshot.renew()
    profile = ProfileFactory._meta.model.objects.get()
    fresh = services.ring().sign(claims.of_profile(profile, groups=[], links=[], now=NOW))
    is_locked = profile.locked_at is not None
    assert opened(api, "POST", REFRESH, {**old, "edi-token": fresh}) is not is_locked


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("name", EDI)
def test_lets_an_administrator_do_something_with_a_token_that_counts(api, name, method):
    signed = EDI[name]
    other = ProfileFactory()
    pair = pair_of(
        Signed(signed.issued, signed.is_usable, {**signed.principal, "is_administrator": True}), is_group=False
    )
    cookie = {"Cookie": f"edi-token={pair['edi-token']}"}
    assert opened(api, method, f"/auth/v1/token/{other.edi_id}", headers=cookie) is signed.is_usable
    other.refresh_from_db()
    assert (other.locked_at or other.tokens_valid_after) == (NOW if signed.is_usable else None)
