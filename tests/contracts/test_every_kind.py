"""What every kind of credential must do, whatever it looks like on the wire."""

import pytest
from django.apps import apps
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.specimens import SPECIMENS
from tokens.core import kinds
from tokens.core.errors import Forbidden, InvalidCredential
from tokens.core.models import Credential, State
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

KINDS = {kind.name: kind for kind in kinds.all_kinds()}
STORED = {name: kind for name, kind in KINDS.items() if kind.model is not None}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
every_stored_kind = pytest.mark.parametrize("kind", STORED.values(), ids=STORED)
MALFORMED = ["", " ", ".", "-", "..", "a.b.c", "a-b", "e30.e30.", "null", "🙂", "\x00", "\ud800", "x" * 100_000]


def states_of(chosen):
    """Every state of every kind in `chosen`."""
    cases = [(kind, state) for name, kind in chosen.items() for state in SPECIMENS[name].states]
    return pytest.mark.parametrize(("kind", "state"), cases, ids=[f"{kind.name}-{state}" for kind, state in cases])


def test_knows_a_kind_for_every_model_of_a_credential():
    models = {model for model in apps.get_models() if issubclass(model, Credential)}
    assert {kind.model for kind in STORED.values()} == models
    assert {model.kind for model in models} == set(STORED)


@every_kind
def test_has_a_specimen_and_a_label(kind):
    assert State.ACTIVE in SPECIMENS[kind.name].states
    assert kind.label


@every_stored_kind
def test_has_a_specimen_of_every_state_that_its_model_knows(kind):
    known = {*kind.model.obstacles(timezone.now()), State.ACTIVE}
    assert set(SPECIMENS[kind.name].states) == known


@states_of(KINDS)
def test_accepts_what_is_usable_and_nothing_else(kind, state, snapshot):
    raw, row = SPECIMENS[kind.name].make(state, snapshot)
    if state == State.ACTIVE:
        description = kind.verify(raw, timezone.now())
        assert (description.kind, description.row) == (kind.name, row)
    else:
        with pytest.raises((InvalidCredential, Forbidden)):
            kind.verify(raw, timezone.now())


@every_kind
def test_describes_what_it_accepts(kind, snapshot):
    raw, _ = SPECIMENS[kind.name].make(State.ACTIVE, snapshot)
    description = kind.verify(raw, timezone.now())
    known = {"sub", "iss", "exp", "iat", "nbf", "scope", "client_id", "username"}
    assert description.token_type
    assert description.claims["sub"]
    assert set(description.claims) <= known
    assert all(type(description.claims[name]) is int for name in {"exp", "iat", "nbf"} & set(description.claims))
    assert raw not in repr(description)


@every_kind
def test_refuses_what_is_unknown(kind, snapshot):
    SPECIMENS[kind.name].make(State.ACTIVE, snapshot)
    with pytest.raises(InvalidCredential):
        kind.verify(SPECIMENS[kind.name].forged, timezone.now())


@every_kind
@pytest.mark.parametrize("raw", MALFORMED, ids=lambda raw: ascii(raw)[:20])
def test_refuses_what_is_malformed(kind, raw):
    with pytest.raises(InvalidCredential):
        kind.verify(raw, timezone.now())


@every_kind
@settings(max_examples=40)
@given(raw=st.text(max_size=80))
def test_raises_nothing_else_whatever_it_is_given(kind, raw):
    with pytest.raises(InvalidCredential):
        kind.verify(raw, timezone.now())


@every_kind
def test_takes_no_other_kind_for_its_own(kind, snapshot):
    for name, specimen in SPECIMENS.items():
        if name != kind.name:
            raw, _ = specimen.make(State.ACTIVE, snapshot)
            with pytest.raises(InvalidCredential):
                kind.verify(raw, timezone.now())


@states_of(KINDS)
def test_knows_it_by_its_shape(kind, state, snapshot):
    raw, _ = SPECIMENS[kind.name].make(state, snapshot)
    assert kind.looks_like(raw)
    assert kind in kinds.likely(raw)


@every_kind
@pytest.mark.parametrize("raw", MALFORMED, ids=lambda raw: ascii(raw)[:20])
def test_tells_a_shape_from_whatever_it_is_given(kind, raw):
    assert kind.looks_like(raw) in {True, False}


@states_of(STORED)
def test_finds_its_row_in_whatever_state(kind, state, snapshot):
    raw, row = SPECIMENS[kind.name].make(state, snapshot)
    assert kind.find(raw) == row
    assert kinds.find(raw) == (kind, row)


@states_of(KINDS)
def test_finds_whom_it_stands_for_in_whatever_state(kind, state, snapshot):
    raw, _ = SPECIMENS[kind.name].make(state, snapshot)
    found, row = kinds.find(raw)
    assert found == kind
    assert row.kind in {kind.name, "profile"}


@every_kind
def test_finds_nothing_for_what_is_unknown(kind, snapshot):
    SPECIMENS[kind.name].make(State.ACTIVE, snapshot)
    try:
        found = kind.find(SPECIMENS[kind.name].forged)
    except InvalidCredential:
        found = None
    assert found is None


@every_kind
def test_can_be_ended_by_whoever_finds_it(kind, snapshot, actor):
    raw, _ = SPECIMENS[kind.name].make(State.ACTIVE, snapshot)
    kind.revoke(kind.find(raw), actor=actor, reason="found in a repository")
    snapshot.renew()
    assert kinds.verify(raw, now=timezone.now()) is None
    assert AuditEvent.objects.get().reason == "found in a repository"


@states_of(STORED)
def test_ends_it_whatever_state_it_was_in(kind, state, snapshot, actor):
    raw, row = SPECIMENS[kind.name].make(state, snapshot)
    kind.revoke(row, actor=actor, reason="")
    assert kind.find(raw).state == State.REVOKED
    with pytest.raises((InvalidCredential, Forbidden)):
        kind.verify(raw, timezone.now())


@every_stored_kind
def test_ends_no_other(kind, snapshot, actor):
    (raw, other), (_, row) = (SPECIMENS[kind.name].make(State.ACTIVE, snapshot) for _ in range(2))
    kind.revoke(row, actor=actor, reason="")
    assert kind.verify(raw, timezone.now()).row == other


@every_stored_kind
def test_changes_nothing_when_it_ends_it_again(kind, snapshot, actor):
    raw, row = SPECIMENS[kind.name].make(State.ACTIVE, snapshot)
    kind.revoke(row, actor=actor, reason="found in a repository")
    first = kind.model.objects.values().get()
    kind.revoke(kind.find(raw), actor=actor, reason="again")
    kind.revoke(row, actor=actor, reason="and again")
    assert kind.model.objects.values().get() == first


@every_stored_kind
def test_writes_one_event_when_it_ends_it(kind, snapshot, actor):
    _, row = SPECIMENS[kind.name].make(State.ACTIVE, snapshot)
    for reason in ("found in a repository", "again"):
        kind.revoke(row, actor=actor, reason=reason)
    event = AuditEvent.objects.get()
    assert (event.kind, event.object_id, event.object_label) == (kind.name, str(row.pk), str(row)[:300])
    assert event.action.split(":")[1:] == [kind.name, "revoke"]
    assert event.reason == "found in a repository"
    assert event.before == {"revoked_at": None}
    assert set(event.after) == {"revoked_at"}


@every_stored_kind
def test_keeps_nothing_that_could_be_presented(kind, snapshot, actor):
    raw, row = SPECIMENS[kind.name].make(State.ACTIVE, snapshot)
    kind.revoke(row, actor=actor, reason="")
    dump = str([*kind.model.objects.values(), *AuditEvent.objects.values()])
    assert str(row.pk) in dump
    assert raw not in dump
    assert raw.rpartition(".")[2] not in dump


@every_stored_kind
def test_shows_no_secret_in_its_representation(kind, snapshot):
    raw, row = SPECIMENS[kind.name].make(State.ACTIVE, snapshot)
    assert raw not in repr(row) + str(row)
    assert "key_hash" not in kind.model.audit_fields
