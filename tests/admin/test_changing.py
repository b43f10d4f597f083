"""Changing in the admin: revoking, switching off, locking; each through the service, each with its audit event."""

from datetime import timedelta

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from edi_auth.models import ApiKey
from tests.admin.conftest import shown_by
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
from tokens.core.errors import NotFound
from tokens.core.models import State
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

KINDS = {
    "tokens_namedtoken": (NamedTokenFactory, "tokens:named_token:revoke"),
    "podcast_perf_publisher": (PublisherFactory, "podcast_perf:publisher:revoke"),
    "podcast_perf_performancetoken": (PerformanceTokenFactory, "podcast_perf:performance_token:revoke"),
    "edi_auth_apikey": (ApiKeyFactory, "edi_auth:api_key:revoke"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def act(browser, kind, action, *rows, **answers):
    """Do a verb to rows: `action` is its name and `_selected`."""
    asked = {"id": [row.pk for row in rows], "reason": "found in a repository", **answers}
    return browser.post(reverse(f"admin:{kind}_verb", args=[action.removesuffix("_selected")]), asked, follow=True)


def change(browser, kind, row, **fields):
    url = reverse(f"admin:{kind}_change", args=[row.pk])
    return browser.post(url, {**shown_by(browser, url), **fields}, follow=True)


@pytest.mark.parametrize(
    ("kind", "make"), [(kind, make) for kind, (make, _) in KINDS.items() if "performance" not in kind]
)
def test_leaves_as_it_is_what_others_changed_meanwhile(admin, kind, make):
    row = make()
    url = reverse(f"admin:{kind}_change", args=[row.pk])
    shown = shown_by(admin, url)
    end = shown["initial-expires_at_0"] + shown["initial-expires_at_1"]
    sooner = timezone.now() + timedelta(minutes=5)
    type(row).objects.filter(pk=row.pk).update(is_active=False, expires_at=sooner)
    fields = {"name": row.name, "is_active": "on", "expires_at_0": end[0], "expires_at_1": end[1]}
    admin.post(url, {**shown, **fields, "allowed_networks": "192.0.2.0/24"})
    row.refresh_from_db()
    assert (row.is_active, row.expires_at, row.allowed_networks) == (False, sooner, ["192.0.2.0/24"])


def test_leaves_an_administrator_who_was_demoted_meanwhile(admin):
    row = ProfileFactory(is_administrator=True)
    url = reverse("admin:edi_auth_profile_change", args=[row.pk])
    shown = shown_by(admin, url)
    type(row).objects.filter(pk=row.pk).update(is_administrator=False)
    admin.post(url, {**shown, "is_administrator": "on", "common_name": "New"})
    row.refresh_from_db()
    assert (row.is_administrator, row.common_name) == (False, "New")


@pytest.mark.parametrize(
    ("kind", "make", "name"),
    [("edi_auth_group", GroupFactory, "members"), ("edi_auth_profile", ProfileFactory, "links")],
)
def test_keeps_whom_others_added_and_took_out_meanwhile(admin, kind, make, name):
    row, here, taken, gone, added, chosen = make(), *(ProfileFactory() for _ in range(5))
    getattr(row, name).set([here, taken, gone])
    url = reverse(f"admin:{kind}_change", args=[row.pk])
    shown = shown_by(admin, url)
    getattr(row, name).set([here, taken, added])
    admin.post(url, {**shown, "name": str(row), name: [here.pk, gone.pk, chosen.pk]})
    assert set(getattr(row, name).all()) == {here, added, chosen}


@every_kind
def test_revokes_what_was_selected_and_nothing_else(admin, kind):
    make, _ = KINDS[kind]
    first, second, other = make(), make(), make()
    response = act(admin, kind, "revoke_selected", first, second)
    assert "Revoked 2." in response.content.decode()
    states = dict(type(first).objects.values_list("pk", "revoked_at"))
    assert states[first.pk] is not None
    assert states[second.pk] is not None
    assert states[other.pk] is None


@every_kind
def test_names_the_operator_who_revoked(admin, kind):
    make, action = KINDS[kind]
    row = make()
    act(admin, kind, "revoke_selected", row)
    event = AuditEvent.objects.get(action=action)
    assert (event.actor_label, event.channel, event.object_id) == ("jane", "admin", str(row.pk))


@every_kind
def test_revokes_nothing_twice(admin, kind):
    make, action = KINDS[kind]
    row = make()
    for _ in range(2):
        act(admin, kind, "revoke_selected", row)
    assert AuditEvent.objects.filter(action=action).count() == 1


@every_kind
def test_revokes_nothing_for_an_operator_who_may_only_look(client, django_user_model, kind):
    make, _ = KINDS[kind]
    row = make()
    joe = django_user_model.objects.create_user("joe", is_staff=True)
    joe.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(joe)
    act(client, kind, "revoke_selected", row)
    row.refresh_from_db()
    assert row.revoked_at is None


def test_closes_the_api_to_a_token_that_was_revoked(admin, api):
    token = NamedTokenFactory()
    assert api.call("GET", "/_/token", bearer=value_of(token)).status_code == 200
    act(admin, "tokens_namedtoken", "revoke_selected", token)
    assert api.call("GET", "/_/token", bearer=value_of(token)).status_code == 401


def test_switches_a_token_off_and_on_without_changing_its_value(admin, api):
    token = NamedTokenFactory()
    value = value_of(token)
    change(admin, "tokens_namedtoken", token, can_write="on")
    assert api.call("GET", "/_/token", bearer=value).status_code == 401
    change(admin, "tokens_namedtoken", token, can_write="on", is_active="on")
    assert api.call("GET", "/_/token", bearer=value).status_code == 200


def test_records_what_an_operator_changed(admin):
    token = NamedTokenFactory()
    change(admin, "tokens_namedtoken", token, is_active="on")
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_label) == ("tokens:named_token:update", "jane")
    assert (event.before, event.after) == ({"can_write": True}, {"can_write": False})


def test_records_nothing_where_nothing_changed(admin):
    token = NamedTokenFactory()
    change(admin, "tokens_namedtoken", token, is_active="on", can_write="on")
    assert not AuditEvent.objects.exists()


def test_keeps_the_name_of_a_token(admin):
    token = NamedTokenFactory(name="ci")
    change(admin, "tokens_namedtoken", token, name="renamed", is_active="on", can_write="on")
    token.refresh_from_db()
    assert token.name == "ci"


def test_wakes_no_token_that_was_revoked(admin, api):
    token = NamedTokenFactory(is_active=False)
    act(admin, "tokens_namedtoken", "revoke_selected", token)
    change(admin, "tokens_namedtoken", token, is_active="on", can_write="on")
    token.refresh_from_db()
    assert token.state == State.REVOKED
    assert not token.is_active


def test_renames_a_publisher_and_keeps_its_key(admin, api):
    publisher = PublisherFactory(name="old")
    key = secret_of(publisher)
    change(admin, "podcast_perf_publisher", publisher, name="new", is_active="on")
    publisher.refresh_from_db()
    assert publisher.name == "new"
    assert api.call("GET", "/token", headers={"X-PUB-KEY": key}).status_code == 200


def test_gives_no_key_to_another_owner(admin):
    key, other = ApiKeyFactory(), ProfileFactory()
    change(admin, "edi_auth_apikey", key, name=key.name, owner=other.pk, is_active="on")
    assert ApiKey.objects.get().owner == key.owner


@pytest.mark.parametrize(("kind", "make"), [("edi_auth_profile", ProfileFactory), ("edi_auth_group", GroupFactory)])
def test_locks_and_unlocks(admin, kind, make):
    row = make()
    act(admin, kind, "lock_selected", row)
    row.refresh_from_db()
    assert row.locked_at is not None
    act(admin, kind, "unlock_selected", row)
    row.refresh_from_db()
    assert row.locked_at is None
    subject = type(row).kind
    recorded = AuditEvent.objects.order_by("id").values_list("action", "actor_label")
    assert list(recorded) == [(f"edi_auth:{subject}:lock", "jane"), (f"edi_auth:{subject}:unlock", "jane")]


def test_closes_the_key_exchange_to_a_locked_profile(admin, api):
    key = ApiKeyFactory()
    act(admin, "edi_auth_profile", "lock_selected", key.owner)
    assert api.call("POST", "/auth/v1/key", {"key": secret_of(key)}).status_code == 403


def test_ends_all_tokens_of_a_profile(admin, api, snapshot):
    key = ApiKeyFactory()
    pair = api.call("POST", "/auth/v1/key", {"key": secret_of(key)}).json()
    body = {"pasta-token": pair["pasta-token"], "edi-token": pair["edi-token"]}
    act(admin, "edi_auth_profile", "end_tokens_selected", key.owner)
    snapshot.renew()
    assert api.call("POST", "/auth/v1/token/refresh", body).status_code == 403


def test_refuses_a_name_that_is_taken(admin):
    first, second = (GroupFactory(name=name) for name in ("first", "second"))
    change(admin, "edi_auth_group", second, name="first")
    second.refresh_from_db()
    assert second.name == "second"
    assert first.name == "first"


@pytest.mark.parametrize("name", ["a\x07b", "a\x1b[31mb"], ids=ascii)
@pytest.mark.parametrize(
    ("kind", "make"), [("podcast_perf_publisher", PublisherFactory), ("edi_auth_apikey", ApiKeyFactory)]
)
def test_renames_nothing_to_a_name_that_makes_no_sense(admin, kind, make, name):
    row = make()
    before = row.name
    change(admin, kind, row, name=name, is_active="on")
    row.refresh_from_db()
    assert row.name == before


def test_keeps_a_page_of_an_unknown_row_from_failing(admin):
    response = admin.get(reverse("admin:tokens_namedtoken_change", args=[999_999]))
    assert response.status_code == 302
    assert not NamedToken.objects.exists()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("rotate", (timedelta(0),)), ("change", ({"is_active": False},))],
)
def test_does_nothing_to_another_token_that_has_the_name_by_now(admin, operator, rf, method, arguments):
    ended = NamedTokenFactory(name="ci")
    act(admin, "tokens_namedtoken", "revoke_selected", ended)
    other = NamedTokenFactory(name="ci")
    request = rf.post("/")
    request.user = operator
    with pytest.raises(NotFound):
        getattr(site.get_model_admin(NamedToken), method)(request, ended, *arguments)
    assert NamedToken.objects.filter(pk=other.pk).values().get() == {
        field.attname: getattr(other, field.attname) for field in other._meta.concrete_fields
    }
