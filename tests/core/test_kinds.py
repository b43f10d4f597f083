"""The registry of credential kinds."""

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from edi_auth import services as edi_services
from podcast_perf import services as podcast_services
from tests.factories import (
    ApiKeyFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tokens import services as token_services
from tokens.core import kinds

pytestmark = pytest.mark.django_db


def test_knows_the_kinds_of_all_apps():
    names = [kind.name for kind in kinds.all_kinds()]
    assert names == ["named_token", "performance_token", "publisher", "api_key", "edi_token", "pasta_token"]


def test_refuses_a_name_that_is_taken():
    with pytest.raises(ValueError, match="named_token"):
        kinds.register(kinds.get("named_token"))


def test_raises_a_key_error_for_what_nobody_registered():
    with pytest.raises(KeyError):
        kinds.get("session")


STORED = pytest.mark.parametrize(
    ("name", "make", "present"),
    [
        ("named_token", NamedTokenFactory, value_of),
        ("performance_token", PerformanceTokenFactory, value_of),
        ("publisher", PublisherFactory, secret_of),
        ("api_key", ApiKeyFactory, secret_of),
    ],
)


@STORED
def test_finds_the_row_of_any_credential(name, make, present):
    make()
    row = make()
    assert kinds.find(present(row)) == (kinds.get(name), row)


@STORED
def test_describes_any_usable_credential(name, make, present):
    row = make()
    description = kinds.verify(present(row), now=timezone.now())
    assert (description.kind, description.row) == (name, row)


@STORED
@pytest.mark.parametrize("hint", ["named_token", "publisher", "nonsense", ""])
def test_takes_a_hint_for_no_more_than_a_hint(name, make, present, hint):
    row = make()
    assert kinds.find(present(row), hint=hint) == (kinds.get(name), row)
    assert kinds.verify(present(row), now=timezone.now(), hint=hint).row == row


@STORED
def test_asks_no_kind_whose_shape_it_does_not_have(name, make, present):
    asked = {kind.name for kind in kinds.likely(present(make()))}
    # What is signed is base64url, which can look like both parts of a PASTA token.
    assert asked - {"pasta_token"} == ({"publisher", "api_key"} if name in {"publisher", "api_key"} else {name})


@pytest.mark.parametrize(("hint", "first"), [("", 0), ("publisher", 0), ("api_key", 1), ("nonsense", 0)])
def test_takes_what_is_of_two_kinds_for_the_one_hinted_at(hint, first):
    key = ApiKeyFactory()
    rows = [PublisherFactory(key_hash=key.key_hash), key]
    assert kinds.find(secret_of(key), hint=hint)[1] == rows[first]
    assert kinds.verify(secret_of(key), now=timezone.now(), hint=hint).row == rows[first]


@pytest.mark.parametrize(
    ("make", "rotate", "present"),
    [
        (NamedTokenFactory, token_services.rotate, value_of),
        (PublisherFactory, podcast_services.rotate_publisher, secret_of),
        (ApiKeyFactory, edi_services.rotate_key, secret_of),
    ],
    ids=["named_token", "publisher", "api_key"],
)
def test_tells_a_secret_that_was_rotated_out_from_the_one_in_its_place(actor, make, rotate, present):
    row = make()
    old, new = present(row), rotate(row, actor=actor).secret
    assert [kinds.verify(raw, now=timezone.now()).is_previous for raw in (old, new)] == [True, False]


@STORED
def test_describes_nothing_that_is_not_usable(name, make, present):
    row = make(is_active=False)
    assert kinds.verify(present(row), now=timezone.now()) is None


@settings(max_examples=50)
@given(raw=st.text(max_size=60))
def test_answers_whatever_it_is_given(raw):
    assert kinds.find(raw) is None
    assert kinds.verify(raw, now=timezone.now()) is None


@pytest.mark.parametrize("name", ["TOKENS_SECRET_KEY", "PERFORMANCE_SECRET_KEY"])
@pytest.mark.parametrize("shape", ["{secret}", "e30.eyJpc3MiOiJ0b2tlbiIsInMiOjF9.c2ln"])
def test_looks_past_a_kind_that_is_not_set_up(settings, name, shape):
    setattr(settings, name, "")
    key = ApiKeyFactory()
    raw = shape.format(secret=secret_of(key))
    expected = (kinds.get("api_key"), key) if raw == secret_of(key) else None
    assert kinds.find(raw) == expected
