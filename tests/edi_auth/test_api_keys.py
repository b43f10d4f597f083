"""The services of API keys: mint, update, revoke, find."""

import hashlib
import logging
import re
import secrets
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, transaction

from edi_auth import services
from edi_auth.models import ApiKey
from tests.edi_auth.forge import KEY, NOW
from tests.factories import ApiKeyFactory, GroupFactory, ProfileFactory
from tokens.core.errors import AlreadyExists, Forbidden, Invalid, NotFound
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

MOMENT = timedelta(microseconds=1)
CONTROLS = ["a\nb", "a\n", "\na", "a\rb", "a\0b", "a\x1bb", "a\x7f"]


@pytest.fixture
def mint(actor):
    """Mints a key named `laptop` of a new profile unless told otherwise."""

    def mint_key(name="laptop", **given):
        owner = given.pop("owner", None) or ProfileFactory()
        return services.mint_key(name, **({"owner": owner, "actor": actor} | given))

    return mint_key


def events():
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


def status_of(api, secret):
    return api.call("POST", KEY, {"key": secret}).status_code


def test_mints_a_key_that_is_exchanged_at_once(api, mint):
    minted = mint()
    assert status_of(api, minted.secret) == 200


def test_mints_160_random_bits(mint):
    minted = [mint().secret for _ in range(20)]
    assert len(set(minted)) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{27}", secret) for secret in minted)


def test_mints_no_key_that_a_command_line_takes_for_an_option(monkeypatch, mint):
    made = iter(["-" + "a" * 26, "--" + "b" * 25, "c" * 27])
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size: next(made))
    assert mint().secret == "c" * 27


def test_stores_the_digest_and_a_preview(mint):
    secret = mint().secret
    stored = ApiKey.objects.get()
    assert stored.key_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert stored.preview == secret[:5]


def test_stores_the_secret_nowhere(mint, caplog, django_capture_on_commit_callbacks):
    caplog.set_level(logging.DEBUG)
    with django_capture_on_commit_callbacks(execute=True):
        secret = mint(group=GroupFactory()).secret
    rows = [row for model in apps.get_models(include_auto_created=True) for row in model._base_manager.values()]
    assert any(row.get("preview") == secret[:5] for row in rows)
    assert not any(secret in str(row) or secret[5:] in str(row) for row in rows)
    assert secret not in caplog.text


def test_shows_the_secret_in_no_repr(mint):
    minted = mint()
    assert minted.secret not in f"{minted!r} {minted} {minted.row!r} {minted.row}"


def test_keeps_owner_group_and_validity(mint):
    owner, group = ProfileFactory(), GroupFactory()
    mint("laptop", owner=owner, group=group, starts_at=NOW, expires_at=NOW + MOMENT, now=NOW)
    stored = ApiKey.objects.get()
    assert (stored.name, stored.owner, stored.group) == ("laptop", owner, group)
    assert (stored.starts_at, stored.expires_at, stored.created_at) == (NOW, NOW + MOMENT, NOW)
    assert (stored.use_count, stored.last_used_at, stored.revoked_at, stored.is_active) == (0, None, None, True)


def test_records_who_minted_a_key(mint):
    key = mint(now=NOW).row
    event = AuditEvent.objects.get()
    assert (event.action, event.kind, event.object_id) == ("edi_auth:api_key:mint", "api_key", str(key.pk))
    assert (event.actor_label, event.at) == ("test", NOW)
    assert event.after["name"] == "laptop"
    assert key.key_hash not in str(event.after)


@pytest.mark.parametrize("name", ["", *CONTROLS, "x" * 256, None])
def test_refuses_a_name_that_makes_no_sense(mint, name):
    with pytest.raises(Invalid) as refusal:
        mint(name)
    assert refusal.value.field == "name"
    assert not ApiKey.objects.exists()
    assert events() == []


@pytest.mark.parametrize("expires_at", [NOW - timedelta(days=1), NOW - MOMENT, NOW])
def test_refuses_a_key_that_ends_before_it_begins(mint, expires_at):
    with pytest.raises(Invalid) as refusal:
        mint(starts_at=NOW, expires_at=expires_at)
    assert refusal.value.field == "valid-to"
    assert not ApiKey.objects.exists()


def test_mints_a_key_that_has_ended_already(api, mint):
    assert status_of(api, mint(expires_at=NOW - timedelta(days=9000)).secret) == 401


def test_refuses_a_name_that_the_owner_has_given_already(mint):
    owner = ProfileFactory()
    mint("laptop", owner=owner)
    with pytest.raises(AlreadyExists, match="laptop"):
        mint("laptop", owner=owner)
    assert ApiKey.objects.count() == 1
    assert events() == ["edi_auth:api_key:mint"]


def test_does_not_mind_the_name_of_another_owners_key(mint):
    mint("laptop")
    assert mint("laptop").row.name == "laptop"


def test_frees_the_name_of_a_revoked_key(api, mint, actor):
    owner = ProfileFactory()
    old = mint(owner=owner)
    services.revoke_key(old.row, actor=actor)
    new = mint(owner=owner)
    assert (status_of(api, old.secret), status_of(api, new.secret)) == (403, 200)


@pytest.mark.parametrize(
    "columns",
    [{"name": ""}, {"starts_at": NOW, "expires_at": NOW}, {"name": "taken"}],
    ids=["name", "validity", "twice"],
)
def test_has_the_database_refuse_what_no_service_would_store(columns):
    taken = ApiKeyFactory(name="taken")
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKeyFactory(**({"owner": taken.owner, "key_hash": "0" * 64} | columns))


def test_revokes_a_key_at_once(api, mint, actor):
    minted = mint()
    assert status_of(api, minted.secret) == 200
    services.revoke_key(minted.row, actor=actor)
    assert status_of(api, minted.secret) == 403


def test_keeps_the_row_of_a_revoked_key_and_records_who_revoked_it_and_why(actor):
    key = ApiKeyFactory()
    assert services.revoke_key(key, actor=actor, reason="found in a repository", now=NOW).revoked_at == NOW
    assert ApiKey.objects.get().revoked_at == NOW
    event = AuditEvent.objects.get()
    assert (event.action, event.object_id, event.at) == ("edi_auth:api_key:revoke", str(key.pk), NOW)
    assert event.reason == "found in a repository"
    assert (event.before, event.after) == ({"revoked_at": None}, {"revoked_at": NOW.isoformat()})


def test_changes_nothing_by_a_second_revocation(actor):
    key = ApiKeyFactory()
    for moment in (NOW, NOW + timedelta(days=1)):
        services.revoke_key(key, actor=actor, now=moment)
    assert ApiKey.objects.get().revoked_at == NOW
    assert events() == ["edi_auth:api_key:revoke"]


def test_keeps_the_other_keys_of_the_owner(api, mint, actor):
    owner = ProfileFactory()
    lost, kept = mint("lost", owner=owner), mint("kept", owner=owner)
    services.revoke_key(lost.row, actor=actor)
    assert status_of(api, kept.secret) == 200


@pytest.mark.parametrize(
    "change",
    [
        {"name": "desktop"},
        {"is_active": False},
        {"starts_at": NOW},
        {"expires_at": NOW},
        {"starts_at": NOW, "expires_at": NOW + MOMENT},
    ],
    ids=str,
)
def test_changes_what_is_given_and_nothing_else(actor, change):
    key = ApiKeyFactory()
    before = ApiKey.objects.values().get()
    services.update(key, actor=actor, **change)
    assert ApiKey.objects.values().get() == before | change
    assert events() == ["edi_auth:api_key:update"]


@pytest.mark.parametrize(
    "change",
    [
        {"revoked_at": None},
        {"use_count": 0},
        {"key_hash": "0" * 64},
        {"preview": "xxxxx"},
        {"owner": None},
        {"group": None},
    ],
    ids=str,
)
def test_changes_nothing_else_by_an_update(actor, change):
    key = ApiKeyFactory(revoked_at=NOW, use_count=7, group=GroupFactory())
    before = ApiKey.objects.values().get()
    services.update(key, actor=actor, **change)
    assert ApiKey.objects.values().get() == before
    assert events() == []


def test_switches_a_key_off_and_on_again(api, mint, actor):
    minted = mint()
    services.update(minted.row, actor=actor, is_active=False)
    assert status_of(api, minted.secret) == 403
    services.update(minted.row, actor=actor, is_active=True)
    assert status_of(api, minted.secret) == 200


def test_keeps_a_use_that_was_counted_since_the_row_was_read(api, mint, actor):
    minted = mint()
    stale = ApiKey.objects.get()
    status_of(api, minted.secret)
    services.update(stale, actor=actor, name="desktop")
    assert ApiKey.objects.get().use_count == 1


@pytest.mark.parametrize("name", ["", *CONTROLS, "x" * 256, None])
def test_refuses_an_update_to_a_name_that_makes_no_sense(actor, name):
    key = ApiKeyFactory(name="laptop")
    with pytest.raises(Invalid) as refusal:
        services.update(key, actor=actor, name=name)
    assert refusal.value.field == "name"
    assert ApiKey.objects.get().name == "laptop"
    assert events() == []


def test_refuses_an_update_to_a_taken_name(actor):
    taken = ApiKeyFactory(name="taken")
    key = ApiKeyFactory(name="own", owner=taken.owner)
    with pytest.raises(AlreadyExists):
        services.update(key, actor=actor, name="taken")
    key.refresh_from_db()
    assert key.name == "own"
    assert events() == []


@pytest.mark.parametrize("change", [{"expires_at": NOW}, {"expires_at": NOW - MOMENT}], ids=["same", "before"])
def test_refuses_an_update_to_an_end_before_the_beginning(actor, change):
    key = ApiKeyFactory(starts_at=NOW)
    with pytest.raises(Invalid):
        services.update(key, actor=actor, **change)
    key.refresh_from_db()
    assert key.expires_at is None


@pytest.mark.parametrize("begin", [NOW, NOW + MOMENT], ids=["same", "after"])
def test_refuses_an_update_to_a_beginning_after_the_end(actor, begin):
    key = ApiKeyFactory(expires_at=NOW)
    with pytest.raises(Invalid):
        services.update(key, actor=actor, starts_at=begin)
    key.refresh_from_db()
    assert key.starts_at is None


def test_begins_later_whatever_lifetime_is_allowed_today(actor, settings):
    settings.API_KEY_MAX_LIFETIME = timedelta(days=1)
    key = ApiKeyFactory()
    services.update(key, actor=actor, starts_at=NOW)
    key.refresh_from_db()
    assert key.starts_at == NOW


def test_finds_a_key_by_its_preview(mint):
    minted = mint()
    ApiKeyFactory(preview="other")
    assert services.key_of(minted.secret[:5]) == minted.row


def test_finds_a_key_by_its_id():
    key = ApiKeyFactory.create_batch(3)[1]
    assert services.key_of(str(key.pk)) == key


def test_finds_the_one_key_whose_preview_is_its_own_id():
    key = ApiKeyFactory(pk=12345, preview="12345")
    assert services.key_of("12345") == key


def test_asks_back_when_a_preview_fits_several_keys():
    first, second = ApiKeyFactory.create_batch(2, preview="twins")
    with pytest.raises(Forbidden) as refusal:
        services.key_of("twins")
    assert str(first.pk) in str(refusal.value)
    assert str(second.pk) in str(refusal.value)


def test_asks_back_when_a_number_is_a_preview_and_an_id():
    ApiKeyFactory(pk=12345)
    ApiKeyFactory(preview="12345")
    with pytest.raises(Forbidden, match="12345"):
        services.key_of("12345")


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "-1", "secr", "secrex", "SECRE", "%", "_____", "9" * 18, "9" * 30, "\u0661", "²", "1.0", " 1"],
)
def test_finds_no_key_by_anything_else(text):
    ApiKeyFactory()
    with pytest.raises(NotFound):
        services.key_of(text)


def test_finds_no_key_by_its_secret_in_the_place_of_its_preview(mint):
    secret = mint().secret
    with pytest.raises(NotFound) as refusal:
        services.key_of(secret)
    assert secret not in str(refusal.value)


@pytest.mark.usefixtures("clock")
def test_gives_a_key_a_new_secret_and_keeps_the_old_one_for_a_while(api, mint, actor, clock):
    old = mint()
    new = services.rotate_key(old.row, actor=actor, grace=timedelta(hours=1))
    assert new.row == old.row
    assert (status_of(api, old.secret), status_of(api, new.secret)) == (200, 200)
    assert ApiKey.objects.get().use_count == 2
    clock.move_to(NOW + timedelta(hours=1), tick=False)
    assert (status_of(api, old.secret), status_of(api, new.secret)) == (401, 200)


def test_ends_the_old_secret_at_once_where_there_is_no_grace(api, mint, actor):
    old = mint()
    new = services.rotate_key(old.row, actor=actor, grace=timedelta(0))
    assert (status_of(api, old.secret), status_of(api, new.secret)) == (401, 200)


def test_keeps_one_old_secret_and_no_older_one(api, mint, actor):
    minted = [mint()]
    minted += [services.rotate_key(minted[0].row, actor=actor) for _ in range(2)]
    assert [status_of(api, one.secret) for one in minted] == [401, 200, 200]


def test_revokes_both_secrets_of_a_rotated_key(api, mint, actor):
    old = mint()
    new = services.rotate_key(old.row, actor=actor)
    services.revoke_key(old.row, actor=actor)
    assert (status_of(api, old.secret), status_of(api, new.secret)) == (403, 403)


def test_stores_no_rotated_secret_and_records_who_rotated(mint, actor, caplog):
    caplog.set_level(logging.DEBUG)
    minted = [mint()]
    minted.append(services.rotate_key(minted[0].row, actor=actor, now=NOW))
    rows = [str(row) for model in apps.get_models() for row in model._base_manager.values()]
    assert not any(one.secret in text for one in minted for text in [*rows, caplog.text])
    event = AuditEvent.objects.get(action="edi_auth:api_key:rotate")
    assert (event.actor_label, event.at, event.after["preview"]) == ("test", NOW, minted[1].secret[:5])


@pytest.mark.parametrize("grace", [timedelta(seconds=-1), timedelta(days=31)], ids=str)
def test_refuses_a_grace_that_makes_no_sense(api, mint, actor, grace):
    old = mint()
    with pytest.raises(Invalid):
        services.rotate_key(old.row, actor=actor, grace=grace)
    assert status_of(api, old.secret) == 200


def test_rotates_no_revoked_key(actor):
    key = ApiKeyFactory(revoked_at=NOW)
    with pytest.raises(Forbidden):
        services.rotate_key(key, actor=actor)
    assert ApiKey.objects.get().key_hash == key.key_hash


def test_gives_a_key_the_lifetime_of_the_settings(mint, settings):
    settings.API_KEY_DEFAULT_LIFETIME = timedelta(days=30)
    assert mint(now=NOW).row.expires_at == NOW + timedelta(days=30)
    assert mint(now=NOW, expires_at=NOW + MOMENT).row.expires_at == NOW + MOMENT


@pytest.mark.parametrize("expires_at", [None, NOW + timedelta(days=30) + MOMENT])
def test_refuses_a_key_that_would_last_longer_than_is_allowed(mint, actor, settings, expires_at):
    settings.API_KEY_MAX_LIFETIME = timedelta(days=30)
    with pytest.raises(Invalid):
        mint(now=NOW, expires_at=expires_at)
    key = mint(now=NOW, expires_at=NOW + timedelta(days=30)).row
    with pytest.raises(Invalid):
        services.update(key, actor=actor, now=NOW, expires_at=expires_at)


@pytest.mark.parametrize(
    "networks", [["x"], ["192.0.2.1/24"], ["192.0.2.0/33"], [7.5], [None], ["192.0.2.0/24", ""]], ids=str
)
def test_refuses_networks_that_make_no_sense(mint, actor, networks):
    with pytest.raises(Invalid) as refusal:
        mint(allowed_networks=networks)
    assert refusal.value.field == "allowed_networks"
    key = mint().row
    with pytest.raises(Invalid):
        services.update(key, actor=actor, allowed_networks=networks)
    assert ApiKey.objects.get().allowed_networks == []


def test_holds_a_beginning_against_the_end_that_somebody_else_has_set_meanwhile(actor):
    key = ApiKeyFactory()
    stale = ApiKey.objects.get(pk=key.pk)
    services.update(key, actor=actor, expires_at=NOW + timedelta(days=1))
    with pytest.raises(Invalid, match="would end before it begins"):
        services.update(stale, actor=actor, starts_at=NOW + timedelta(days=2))
    key.refresh_from_db()
    assert key.starts_at is None
