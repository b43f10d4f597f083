"""The lifecycle that all credentials share: one predicate, asked of rows, of querysets and of the database."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from edi_auth.models import ApiKey
from podcast_perf.models import PerformanceToken, Publisher
from tests.factories import (
    ApiKeyFactory,
    GroupFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    ProfileFactory,
    PublisherFactory,
)
from tokens.core.models import State, digest, is_id, is_opaque, is_same
from tokens.models import NamedToken

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FACTORIES = {
    NamedToken: NamedTokenFactory,
    Publisher: PublisherFactory,
    PerformanceToken: PerformanceTokenFactory,
    ApiKey: ApiKeyFactory,
}
every_model = pytest.mark.parametrize("model", FACTORIES, ids=lambda model: model.kind)

# What is wrong with a credential, in order of precedence, with the fields that make it so.
OBSTACLES = {
    State.REVOKED: {"revoked_at": NOW - SECOND},
    State.LOCKED: None,
    State.INACTIVE: {"is_active": False},
    State.PENDING: {"starts_at": NOW + SECOND},
    State.EXPIRED: {"expires_at": NOW - SECOND},
}


def obstacles_of(model):
    return [state for state in OBSTACLES if state != State.LOCKED or model is ApiKey]


def made(model, obstacles):
    """A row of `model` with all of `obstacles` in its way."""
    fields = {"created_at": NOW - timedelta(days=1), "expires_at": NOW + timedelta(days=1)}
    for obstacle in obstacles:
        fields |= OBSTACLES[obstacle] or {"owner": ProfileFactory(locked_at=NOW)}
    if State.EXPIRED in obstacles and State.PENDING in obstacles and model is ApiKey:
        # No key ends before it begins: of the two obstacles one can hold at a time.
        del fields["starts_at"]
    return FACTORIES[model](**fields)


def rows(model):
    """A row for every combination of obstacles, with the state that precedence gives it."""
    possible = obstacles_of(model)
    for choice in product([False, True], repeat=len(possible)):
        obstacles = [state for state, is_chosen in zip(possible, choice, strict=True) if is_chosen]
        expected = obstacles[0] if obstacles else State.ACTIVE
        if expected == State.PENDING and State.EXPIRED in obstacles and model is ApiKey:
            expected = State.EXPIRED
        yield made(model, obstacles), expected


@every_model
def test_agrees_on_every_state_in_every_place(model):
    table = {row.pk: (row, expected) for row, expected in rows(model)}
    found = {state: set(model.objects.in_state(state, now=NOW).values_list("pk", flat=True)) for state in State}
    usable = set(model.objects.usable(now=NOW).values_list("pk", flat=True))
    assert len(table) == 2 ** len(obstacles_of(model))
    for pk, (row, expected) in table.items():
        assert row.state_at(NOW) == expected
        assert [state for state in State if pk in found[state]] == [expected]
        assert row.is_usable(now=NOW) is (expected == State.ACTIVE)
        assert (pk in usable) is (expected == State.ACTIVE)


@every_model
@pytest.mark.parametrize(
    ("field", "offset", "expected"),
    [
        ("expires_at", -1, State.EXPIRED),
        ("expires_at", 0, State.EXPIRED),
        ("expires_at", 1, State.ACTIVE),
        ("starts_at", -1, State.ACTIVE),
        ("starts_at", 0, State.ACTIVE),
        ("starts_at", 1, State.PENDING),
    ],
)
def test_draws_the_line_at_the_same_microsecond(model, field, offset, expected):
    moment = NOW + timedelta(microseconds=offset)
    fields = {"expires_at": NOW + timedelta(days=1), "created_at": NOW - timedelta(days=1), field: moment}
    row = FACTORIES[model](**fields)
    assert row.state_at(NOW) == expected
    assert model.objects.in_state(expected, now=NOW).get() == row
    assert model.objects.usable(now=NOW).exists() is (expected == State.ACTIVE)


@pytest.mark.parametrize("model", [NamedToken, Publisher, ApiKey], ids=lambda model: model.kind)
def test_counts_no_expiry_as_for_ever(model):
    row = FACTORIES[model](expires_at=None, starts_at=None)
    assert row.state_at(datetime(9999, 1, 1, tzinfo=UTC)) == State.ACTIVE
    assert model.objects.usable(now=datetime(9999, 1, 1, tzinfo=UTC)).exists()


def test_counts_a_locked_group_as_locked():
    key = ApiKeyFactory(group=GroupFactory(locked_at=NOW))
    assert key.state_at(NOW) == State.LOCKED
    assert ApiKey.objects.in_state(State.LOCKED, now=NOW).get() == key


def test_says_without_a_join_of_the_same_keys_that_they_are_usable():
    made_keys = [row for row, _ in rows(ApiKey)]
    made_keys += [ApiKeyFactory(group=GroupFactory(locked_at=moment)) for moment in (None, NOW)]
    usable = ApiKey.objects.filter(ApiKey.usable_alone(now=NOW))
    assert {key.pk for key in usable} == {key.pk for key in made_keys if key.is_usable(now=NOW)}


def test_reads_the_clock_once_for_the_state_of_a_row(time_machine):
    time_machine.move_to(NOW, tick=False)
    assert NamedTokenFactory(expires_at=NOW).state == State.EXPIRED
    assert NamedTokenFactory(expires_at=NOW + SECOND).state == State.ACTIVE


def test_stores_the_sha256_of_a_secret():
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_digests_what_is_no_valid_text():
    assert len(digest("\ud800")) == 64


@pytest.mark.parametrize(("other", "expected"), [("päss", True), ("pass", False), ("", False), ("pässs", False)])
def test_compares_secrets(other, expected):
    assert is_same("päss", other) is expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("7", True), ("9" * 18, True), ("9" * 19, False), ("", False), ("-1", False), ("1.0", False), ("\u0667", False)],
    ids=ascii,
)
def test_takes_for_an_id_what_fits_into_64_bits(raw, expected):
    assert is_id(raw) is expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", False),
        ("x", True),
        ("x" * 1024, True),
        ("x" * 1025, False),
        ("a.b", True),
        ("a.b.c", True),
        ("SG.a-b.c_d", True),
        ("eyJ9.eyJ9.c2ln", False),
        ("eyJ9..", False),
        ("eyJ9.e", True),
    ],
    ids=lambda raw: str(raw)[:9],
)
def test_takes_for_a_key_what_is_short_and_no_signed_token(raw, expected):
    assert is_opaque(raw) is expected
