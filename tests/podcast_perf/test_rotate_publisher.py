"""A publisher's key is rotated: `services.rotate_publisher`, and what the two keys do at `GET /token`."""

from datetime import timedelta

import pytest

from podcast_perf import services
from podcast_perf.models import PerformanceToken
from tests.edi_auth.forge import NOW
from tests.factories import PublisherFactory, secret_of
from tests.tokens.tools import everything_stored
from tokens.core.errors import Forbidden, Invalid, NotFound
from tokens.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

HOUR = timedelta(hours=1)


@pytest.fixture
def fetch(api):
    return lambda key: api.call("GET", "/token", headers={"X-PUB-KEY": key}).status_code


def test_gives_a_new_key_and_lets_the_old_one_go_on(fetch, actor):
    publisher = PublisherFactory()
    stored, key = services.rotate_publisher(publisher, actor=actor)
    assert stored.previous_valid_until == NOW + timedelta(hours=24)
    assert key.startswith(stored.preview)
    assert [fetch(key), fetch(secret_of(publisher))] == [200, 200]


@pytest.mark.parametrize("grace", [timedelta(milliseconds=1), HOUR, timedelta(days=30)], ids=str)
def test_ends_the_old_key_with_the_grace(fetch, actor, clock, grace):
    publisher = PublisherFactory()
    _, key = services.rotate_publisher(publisher, actor=actor, grace=grace)
    clock.move_to(NOW + grace - timedelta(milliseconds=1), tick=False)
    assert fetch(secret_of(publisher)) == 200
    clock.move_to(NOW + grace, tick=False)
    assert [fetch(key), fetch(secret_of(publisher))] == [200, 400]


def test_ends_the_old_key_at_once_where_there_is_no_grace(fetch, actor):
    publisher = PublisherFactory()
    _, key = services.rotate_publisher(publisher, actor=actor, grace=timedelta(0))
    assert [fetch(key), fetch(secret_of(publisher))] == [200, 400]


def test_lets_two_keys_live_and_never_three(fetch, actor):
    publisher = PublisherFactory()
    keys = [secret_of(publisher), *(services.rotate_publisher(publisher, actor=actor)[1] for _ in range(2))]
    assert [fetch(key) for key in keys] == [400, 200, 200]


def test_keeps_the_tokens_of_both_keys_with_the_publisher(fetch, actor):
    publisher = PublisherFactory()
    _, key = services.rotate_publisher(publisher, actor=actor)
    fetch(key)
    fetch(secret_of(publisher))
    assert set(PerformanceToken.objects.values_list("publisher", flat=True)) == {publisher.pk}
    assert PerformanceToken.objects.count() == 2


@pytest.mark.parametrize("fields", [{"is_active": False}, {"expires_at": NOW}, {"starts_at": NOW + HOUR}], ids=str)
def test_makes_no_key_usable_that_was_not(fetch, actor, fields):
    publisher = PublisherFactory(**fields)
    _, key = services.rotate_publisher(publisher, actor=actor)
    assert [fetch(key), fetch(secret_of(publisher))] == [400, 400]


def test_ends_both_keys_with_the_publisher(fetch, api, actor):
    publisher = PublisherFactory()
    _, key = services.rotate_publisher(publisher, actor=actor)
    api.call("POST", "/revoke", {"token": key})
    assert [fetch(key), fetch(secret_of(publisher))] == [400, 400]


def test_refuses_a_publisher_that_was_revoked(actor):
    publisher = PublisherFactory(revoked_at=NOW)
    with pytest.raises(Forbidden):
        services.rotate_publisher(publisher, actor=actor)
    assert not AuditEvent.objects.exists()


def test_refuses_a_publisher_that_is_gone(actor):
    publisher = PublisherFactory()
    type(publisher).objects.filter(pk=publisher.pk).delete()
    with pytest.raises(NotFound):
        services.rotate_publisher(publisher, actor=actor)


@pytest.mark.parametrize("grace", [timedelta(milliseconds=-1), timedelta(days=30, milliseconds=1)], ids=str)
def test_refuses_a_grace_that_makes_no_sense(fetch, actor, grace):
    publisher = PublisherFactory()
    with pytest.raises(Invalid, match="30 days"):
        services.rotate_publisher(publisher, actor=actor, grace=grace)
    assert fetch(secret_of(publisher)) == 200


def test_records_who_did_it_and_no_key(actor):
    publisher = PublisherFactory(name="Radio")
    _, key = services.rotate_publisher(publisher, actor=actor)
    event = AuditEvent.objects.get()
    assert (event.action, event.object_label) == ("podcast_perf:publisher:rotate", "Radio")
    assert set(event.after) == {"preview", "previous_valid_until", "rotated_at"}
    assert key not in everything_stored()


@pytest.mark.parametrize("which", ["old", "new"])
def test_shows_when_each_key_was_last_used(fetch, actor, clock, which):
    publisher = PublisherFactory()
    _, key = services.rotate_publisher(publisher, actor=actor)
    clock.shift(600)
    fetch(key if which == "new" else secret_of(publisher))
    publisher.refresh_from_db()
    used, moment = (publisher.last_used_at, publisher.previous_last_used_at), NOW + timedelta(minutes=10)
    assert used == ((moment, None) if which == "new" else (None, moment))
