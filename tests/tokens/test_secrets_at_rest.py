"""Values of named tokens at rest (the contract: "the database holds nothing that could be replayed")."""

import logging
from datetime import UTC, datetime

import pytest

from tests.factories import NamedTokenFactory, value_of
from tests.tokens.tools import everything_stored
from tokens import services
from tokens.core.signing import _hmac_ring
from tokens.models import NamedToken

pytestmark = pytest.mark.django_db

NEW_SECRET = "a-newer-tokens-secret-for-tests-of-32-bytes-or-more"


def created(api, bearer, name="example"):
    return api.call("POST", "/_/token", {"name": name}, bearer=bearer).json()["data"][0]["token"]


def read(api, bearer, name="example"):
    return api.call("GET", f"/_/token/value?name={name}", bearer=bearer).json()["data"][0]["token"]


def opens(api, value):
    return api.call("GET", "/_/token", bearer=value).status_code == 200


def go_through_a_life(api, bearer):
    """The value of a token that was made, used, changed, read, refused, shown and deleted."""
    value = created(api, bearer)
    assert opens(api, value)
    api.call("POST", "/_/token", {"name": "example"}, bearer=value)
    api.call("PUT", "/_/token", {"name": "example", "write": False}, bearer=bearer)
    api.call("POST", "/_/token", {"name": "another"}, bearer=value)
    assert read(api, bearer) == value
    api.call("DELETE", "/_/token", {"name": "example"}, bearer=bearer)
    assert not opens(api, value)
    return value


def test_stores_no_value_in_any_column_of_any_table(api, bearer):
    value = go_through_a_life(api, bearer)
    stored = everything_stored()
    assert "tokens:named_token:read_value" in stored
    for part in (value, *value.split(".")):
        assert part not in stored


def test_stores_no_secret_of_the_settings(api, bearer, settings):
    go_through_a_life(api, bearer)
    assert settings.TOKENS_SECRET_KEY not in everything_stored()


def test_shows_no_value_in_a_listing(api, bearer):
    value = created(api, bearer)
    listing = api.call("GET", "/_/token", bearer=bearer).content.decode()
    assert '"example"' in listing
    assert value.rpartition(".")[2] not in listing
    assert bearer.rpartition(".")[2] not in listing


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_shows_no_value_where_a_token_is_changed(api, bearer, method):
    value = created(api, bearer)
    answer = api.call(method, "/_/token", {"name": "example"}, bearer=bearer).content.decode()
    assert '"example"' in answer
    assert value.rpartition(".")[2] not in answer


def test_writes_no_value_to_the_log(api, bearer, caplog):
    caplog.set_level(logging.DEBUG)
    value = go_through_a_life(api, bearer)
    assert value.rpartition(".")[2] not in caplog.text
    assert bearer.rpartition(".")[2] not in caplog.text


def test_writes_no_value_to_the_log_when_something_breaks(api, bearer, caplog, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("something broke")

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("tokens.dialect.row", fail)
    api.raise_request_exception = False
    assert api.call("POST", "/_/token", {"name": "example"}, bearer=bearer).status_code == 500
    assert "something broke" in caplog.text
    value = services.ring().sign(NamedToken.objects.get(name="example").claims())
    assert value.rpartition(".")[2] not in caplog.text
    assert bearer.rpartition(".")[2] not in caplog.text


def test_shows_no_value_in_a_repr(actor):
    minted = services.mint("example", actor=actor)
    assert "example" in repr(minted)
    assert minted.secret.rpartition(".")[2] not in repr(minted)
    assert minted.secret.rpartition(".")[2] not in repr(vars(minted.row))


@pytest.mark.parametrize(
    "fields", [{"active": False}, {"write": False}, {"expiration_date": 1999999999999}, {"expiration_date": None}]
)
def test_gives_the_same_value_after_a_change(api, bearer, fields):
    value = created(api, bearer)
    api.call("PUT", "/_/token", {"name": "example", **fields}, bearer=bearer)
    assert read(api, bearer) == value


def test_gives_the_same_value_after_a_restart(api, bearer):
    value = created(api, bearer)
    _hmac_ring.cache_clear()
    assert read(api, bearer) == value
    assert opens(api, value)


def test_gives_the_same_value_at_any_time(api, bearer, time_machine):
    time_machine.move_to(datetime(2027, 1, 15, tzinfo=UTC))
    value = created(api, bearer)
    time_machine.shift(10**8)
    assert read(api, bearer) == value


def test_keeps_old_values_working_when_their_secret_became_a_fallback(api, db, settings):
    old = value_of(NamedTokenFactory())
    settings.TOKENS_SECRET_KEY_FALLBACKS = ("some-other-old-secret-of-32-bytes-or-more", settings.TOKENS_SECRET_KEY)
    settings.TOKENS_SECRET_KEY = NEW_SECRET
    assert opens(api, old)


def test_signs_with_the_new_secret_what_it_is_asked_for_next(api, db, settings):
    token = NamedTokenFactory(name="example")
    old = value_of(token)
    settings.TOKENS_SECRET_KEY_FALLBACKS = (settings.TOKENS_SECRET_KEY,)
    settings.TOKENS_SECRET_KEY = NEW_SECRET
    new = read(api, old)
    assert new != old
    settings.TOKENS_SECRET_KEY_FALLBACKS = ()
    assert opens(api, new)
    assert not opens(api, old)


def test_ends_all_values_of_a_secret_that_is_gone(api, db, settings):
    old = value_of(NamedTokenFactory())
    settings.TOKENS_SECRET_KEY = NEW_SECRET
    assert not opens(api, old)
