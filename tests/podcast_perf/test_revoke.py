"""Revoking performance tokens: one function for admin and command (the contract, "Commands")."""

from datetime import UTC, datetime, timedelta

import pytest

from podcast_perf import services
from podcast_perf.models import PerformanceToken
from tests.factories import PerformanceTokenFactory, PublisherFactory, value_of
from tests.tokens.tools import encode_jws
from tokens.core import kinds
from tokens.core.errors import InvalidCredential, NotFound
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
KIND = kinds.get("performance_token")


def made(**fields):
    return PerformanceTokenFactory(created_at=NOW, **fields)


def test_ends_the_token_at_once(actor):
    token = made()
    assert KIND.verify(value_of(token), NOW).row == token
    services.revoke(token.serial, actor=actor, now=NOW)
    with pytest.raises(InvalidCredential):
        KIND.verify(value_of(token), NOW)


def test_ends_a_token_that_was_fetched(api, actor, settings):
    value = api.call("GET", "/token", headers={"X-PUB-KEY": settings.PERFORMANCE_PUBLIC_KEY}).json()["token"]
    now = datetime.now(tz=UTC)
    token = KIND.verify(value, now).row
    services.revoke(token.serial, actor=actor)
    with pytest.raises(InvalidCredential):
        KIND.verify(value, now)


def test_answers_with_the_token_as_it_is_now(actor):
    token = services.revoke(made().serial, actor=actor, now=NOW)
    assert token.revoked_at == PerformanceToken.objects.get().revoked_at == NOW
    assert token.state == "revoked"


def test_ends_that_token_alone(actor):
    other, token = made(), made()
    services.revoke(token.serial, actor=actor)
    assert KIND.verify(value_of(other), NOW).row == other


@pytest.mark.parametrize(
    "change", [str.upper, "{} ".format, "{}0".format, lambda serial: serial[:-1], lambda serial: "%"]
)
def test_refuses_an_unknown_token(actor, change):
    with pytest.raises(NotFound):
        services.revoke(change(made(serial="lwus8z6p-d6260a7ddbb086e4").serial), actor=actor)
    assert not PerformanceToken.objects.filter(revoked_at__isnull=False).exists()
    assert not AuditEvent.objects.exists()


def test_changes_nothing_by_a_second_time(actor):
    token = made(revoked_at=NOW)
    assert services.revoke(token.serial, actor=actor, now=NOW + timedelta(hours=1)).revoked_at == NOW
    assert not AuditEvent.objects.exists()


def test_records_who_did_it_and_why(actor):
    token = made()
    services.revoke(token.serial, actor=actor, reason="posted in a forum", now=NOW)
    event = AuditEvent.objects.get()
    assert (event.action, event.at) == ("podcast_perf:performance_token:revoke", NOW)
    assert (event.object_id, event.object_label) == (str(token.pk), token.serial)
    assert (event.actor_label, event.reason) == ("test", "posted in a forum")
    assert (event.before, event.after) == ({"revoked_at": None}, {"revoked_at": NOW.isoformat()})


def test_cuts_a_reason_that_is_too_long(actor):
    services.revoke(made().serial, actor=actor, reason="x" * 1000)
    assert AuditEvent.objects.get().reason == "x" * 300


def test_ends_the_very_row_that_an_operator_picked(actor):
    other, token = made(), made()
    KIND.revoke(token, actor=actor, reason="picked")
    token.refresh_from_db()
    other.refresh_from_db()
    assert (token.state_at(NOW), other.state_at(NOW)) == ("revoked", "active")
    assert AuditEvent.objects.get().action == "podcast_perf:performance_token:revoke"


def test_leaves_the_tokens_of_a_publisher_that_went(actor):
    publisher = PublisherFactory()
    token = made(publisher=publisher)
    kinds.get("publisher").revoke(publisher, actor=actor, reason="")
    assert KIND.verify(value_of(token), NOW).row == token


@pytest.mark.parametrize(
    ("fields", "moment"),
    [({}, NOW + timedelta(hours=1)), ({"is_active": False}, NOW), ({"revoked_at": NOW}, NOW)],
    ids=["expired just now", "switched off", "revoked"],
)
def test_finds_a_token_though_it_is_unusable(fields, moment):
    token = made(**fields)
    assert KIND.find(value_of(token)) == token
    with pytest.raises(InvalidCredential):
        KIND.verify(value_of(token), moment)


def test_verifies_a_token_until_it_expires():
    token = made(is_admin=False)
    description = KIND.verify(value_of(token), NOW + timedelta(hours=1, microseconds=-1))
    assert (description.row, description.claims["scope"]) == (token, "listener")


@pytest.mark.parametrize("serial", [None, 1, ["s"], {}, "", "unknown"], ids=repr)
def test_finds_no_token_of_a_name_that_makes_no_sense(settings, serial):
    made()
    value = encode_jws({"alg": "HS256", "typ": "JWT"}, {"s": serial}, secret=settings.PERFORMANCE_SECRET_KEY)
    assert kinds.find(value) is None


@pytest.mark.parametrize("secret", ["TOKENS_SECRET_KEY", "SECRET_KEY", "PERFORMANCE_PUBLIC_KEY"])
def test_finds_no_token_that_another_secret_signed(settings, secret):
    value = encode_jws({"alg": "HS256", "typ": "JWT"}, made().claims(), secret=getattr(settings, secret))
    with pytest.raises(InvalidCredential):
        KIND.find(value)
