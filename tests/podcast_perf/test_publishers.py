"""Publishers, the holders of an X-PUB-KEY (the contract, "`GET /token`": keys that operators keep in the admin)."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from podcast_perf import services
from podcast_perf.models import Publisher
from tests.factories import PublisherFactory, secret_of
from tests.tokens.tools import everything_stored
from tokens.core import kinds
from tokens.core.errors import AlreadyExists, Invalid, InvalidCredential, RegistryError
from tokens.core.models import digest
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
KIND = kinds.get("publisher")


def opens(api, key):
    return api.call("GET", "/token", headers={"X-PUB-KEY": key}).status_code == 200


def test_adds_one_with_a_fresh_key(api, actor):
    publisher, key = services.add_publisher("Feeds", actor=actor, now=NOW)
    publisher.refresh_from_db()
    assert (publisher.name, publisher.created_at, publisher.is_active) == ("Feeds", NOW, True)
    assert len(key) >= 27
    assert opens(api, key)


def test_never_makes_a_key_twice(actor):
    assert len({services.add_publisher(f"Feeds {n}", actor=actor)[1] for n in range(5)}) == 5


def test_adds_one_with_the_key_that_it_has_already(api, actor):
    _, key = services.add_publisher("Feeds", actor=actor, raw_key="the-key-that-it-has-already")
    assert key == "the-key-that-it-has-already"
    assert opens(api, key)


@pytest.mark.parametrize("raw_key", [None, "the-key-that-it-has-already"])
def test_stores_of_a_key_its_digest_and_five_characters(actor, raw_key):
    publisher, key = services.add_publisher("Feeds", actor=actor, raw_key=raw_key)
    publisher.refresh_from_db()
    assert (publisher.key_hash, publisher.preview) == (digest(key), key[:5])
    assert key not in everything_stored()


@pytest.mark.parametrize("key", ["k", "four", "fives"])
def test_stores_no_key_as_a_whole_however_short(actor, key):
    with suppress(RegistryError):
        services.add_publisher("Feeds", actor=actor, raw_key=key)
    assert not Publisher.objects.filter(preview=key).exists()


def test_refuses_a_taken_name(api, actor):
    taken = PublisherFactory(name="Feeds")
    with pytest.raises(AlreadyExists):
        services.add_publisher("Feeds", actor=actor, raw_key="another-key-of-another-publisher")
    assert list(Publisher.objects.all()) == [taken]
    assert opens(api, secret_of(taken))
    assert not opens(api, "another-key-of-another-publisher")


def test_refuses_a_taken_key(actor):
    taken = PublisherFactory()
    with pytest.raises(AlreadyExists) as refusal:
        services.add_publisher("Feeds", actor=actor, raw_key=secret_of(taken))
    assert list(Publisher.objects.all()) == [taken]
    assert secret_of(taken) not in str(refusal.value)
    assert not AuditEvent.objects.exists()


def test_refuses_the_key_of_a_publisher_that_was_revoked(actor):
    gone = PublisherFactory(revoked_at=NOW)
    with pytest.raises(AlreadyExists):
        services.add_publisher("Feeds", actor=actor, raw_key=secret_of(gone))


@pytest.mark.parametrize(
    ("closing", "opening"),
    [
        ({"is_active": False}, {"is_active": True}),
        ({"expires_at": NOW}, {"expires_at": NOW + timedelta(seconds=1)}),
        ({"expires_at": NOW}, {"expires_at": None}),
        ({"starts_at": NOW + timedelta(seconds=1)}, {"starts_at": NOW}),
    ],
    ids=["switched off and on", "expired and prolonged", "expired and without expiry", "put off and brought forward"],
)
def test_closes_and_opens_the_door_to_one_and_the_same_key(api, actor, time_machine, closing, opening):
    time_machine.move_to(NOW, tick=False)
    publisher = PublisherFactory()
    services.update_publisher(publisher, actor=actor, **closing)
    assert not opens(api, secret_of(publisher))
    services.update_publisher(publisher, actor=actor, **opening)
    assert opens(api, secret_of(publisher))


def test_renames_without_a_new_key(actor):
    publisher = PublisherFactory()
    services.update_publisher(publisher, actor=actor, name="Feeds")
    assert services.holder_of(secret_of(publisher)).label == "Feeds"


def test_changes_nothing_but_what_it_is_told(actor):
    publisher = PublisherFactory(expires_at=NOW)
    before = Publisher.objects.filter(pk=publisher.pk).values().get()
    services.update_publisher(publisher, actor=actor, is_active=False, key_hash="0" * 64, revoked_at=NOW)
    assert Publisher.objects.filter(pk=publisher.pk).values().get() == before | {"is_active": False}


def test_refuses_to_rename_to_a_taken_name(actor):
    taken, publisher = PublisherFactory(), PublisherFactory(name="Feeds")
    with pytest.raises(AlreadyExists):
        services.update_publisher(publisher, actor=actor, name=taken.name)
    publisher.refresh_from_db()
    assert publisher.name == "Feeds"
    assert not AuditEvent.objects.exists()


def test_ends_one_for_good(api, actor):
    publisher = PublisherFactory()
    KIND.revoke(publisher, actor=actor, reason="left us")
    assert not opens(api, secret_of(publisher))
    services.update_publisher(publisher, actor=actor, is_active=True, expires_at=None)
    assert not opens(api, secret_of(publisher))


def test_leaves_one_that_was_ended_as_it_is(actor):
    publisher = PublisherFactory(revoked_at=NOW)
    KIND.revoke(publisher, actor=actor, reason="again")
    publisher.refresh_from_db()
    assert publisher.revoked_at == NOW
    assert not AuditEvent.objects.exists()


def test_records_what_was_done_to_one(actor):
    publisher, key = services.add_publisher("Feeds", actor=actor)
    services.update_publisher(publisher, actor=actor, is_active=False)
    KIND.revoke(publisher, actor=actor, reason="left us")
    added, updated, revoked = AuditEvent.objects.order_by("id")
    assert [event.action for event in (added, updated, revoked)] == [
        f"podcast_perf:publisher:{verb}" for verb in ("add", "update", "revoke")
    ]
    assert {(event.object_id, event.object_label) for event in (added, updated, revoked)} == {
        (str(publisher.pk), "Feeds")
    }
    assert {event.actor_label for event in (added, updated, revoked)} == {"test"}
    assert added.after["preview"] == key[:5]
    assert (updated.before, updated.after) == ({"is_active": True}, {"is_active": False})
    assert (revoked.reason, revoked.before) == ("left us", {"revoked_at": None})


def test_records_no_update_that_changed_nothing(actor):
    publisher = PublisherFactory()
    services.update_publisher(publisher, actor=actor, name=publisher.name, is_active=True)
    assert not AuditEvent.objects.exists()


def test_is_a_kind_that_is_verified_by_its_key():
    publisher = PublisherFactory(name="Feeds")
    description = KIND.verify(secret_of(publisher), NOW)
    assert description.row == publisher
    assert description.claims["client_id"] == "Feeds"


@pytest.mark.parametrize("fields", [{"is_active": False}, {"expires_at": NOW}, {"revoked_at": NOW}])
def test_is_a_kind_that_is_found_though_it_is_unusable(fields):
    publisher = PublisherFactory(**fields)
    assert KIND.find(secret_of(publisher)) == publisher
    with pytest.raises(InvalidCredential):
        KIND.verify(secret_of(publisher), NOW)


@pytest.mark.parametrize("raw", ["", "unknown", "\0", "\udcff", "x" * 10_000], ids=repr)
def test_is_a_kind_that_no_stranger_is_of(raw):
    PublisherFactory()
    assert KIND.find(raw) is None
    with pytest.raises(InvalidCredential):
        KIND.verify(raw, NOW)


def test_changes_the_name_of_one_that_ends_before_it_begins(actor):
    """Of a release that let it be made."""
    publisher = PublisherFactory(starts_at=NOW, expires_at=NOW - timedelta(days=1))
    assert services.update_publisher(publisher, actor=actor, name="Feeds").name == "Feeds"
    with pytest.raises(Invalid):
        services.update_publisher(publisher, actor=actor, starts_at=NOW + timedelta(days=1))


def test_holds_a_beginning_against_the_end_that_somebody_else_has_set_meanwhile(actor):
    publisher = PublisherFactory()
    stale = Publisher.objects.get(pk=publisher.pk)
    services.update_publisher(publisher, actor=actor, expires_at=NOW + timedelta(days=1))
    with pytest.raises(Invalid, match="would end before it begins"):
        services.update_publisher(stale, actor=actor, starts_at=NOW + timedelta(days=2))
    publisher.refresh_from_db()
    assert publisher.starts_at is None


@pytest.fixture
def gone(actor):
    """A revoked publisher named Feeds."""
    return services.revoke_publisher(PublisherFactory(name="Feeds"), actor=actor)


@pytest.mark.parametrize("given", [{}, {"raw_key": "the-key-that-it-has-already"}], ids=["fresh", "brought"])
def test_gives_the_name_of_a_revoked_one_to_another(api, actor, gone, given):
    publisher, key = services.add_publisher("Feeds", actor=actor, **given)
    gone.refresh_from_db()
    assert (publisher.name, gone.name) == ("Feeds", f"Feeds (revoked, id {gone.pk})")
    assert services.publisher_of("Feeds") == publisher
    assert opens(api, key)
    assert not opens(api, secret_of(gone))
    event = AuditEvent.objects.get(action=services.Action.UPDATE_PUBLISHER)
    assert (event.object_id, event.before, event.after) == (str(gone.pk), {"name": "Feeds"}, {"name": gone.name})


def test_lets_another_take_the_name_of_a_revoked_one(actor, gone):
    publisher = services.update_publisher(PublisherFactory(name="Other"), actor=actor, name="Feeds")
    gone.refresh_from_db()
    assert (publisher.name, gone.name) == ("Feeds", f"Feeds (revoked, id {gone.pk})")


def test_gives_the_longest_name_to_another(actor):
    name = "F" * 255
    services.revoke_publisher(PublisherFactory(name=name), actor=actor)
    assert services.add_publisher(name, actor=actor).row.name == name


def test_leaves_a_revoked_one_its_name_where_another_cannot_be_added(actor, gone):
    with pytest.raises(AlreadyExists):
        services.add_publisher("Feeds", actor=actor, raw_key=secret_of(PublisherFactory()))
    gone.refresh_from_db()
    assert gone.name == "Feeds"


def test_leaves_a_revoked_one_its_name_when_something_else_of_it_is_changed(actor, gone):
    assert services.update_publisher(gone, actor=actor, name="Feeds", is_active=False).name == "Feeds"
