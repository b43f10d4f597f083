"""Minting in the admin: the secret is shown once, kept out of caches, and works."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from edi_auth.admin import MAX_CHOSEN
from edi_auth.models import ApiKey, Group, Profile, edi_id_of
from podcast_perf.models import Publisher
from tests.admin.conftest import shown_by
from tests.factories import GroupFactory, NamedTokenFactory, ProfileFactory, PublisherFactory
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

TOKEN, PUBLISHER, KEY = "tokens_namedtoken", "podcast_perf_publisher", "edi_auth_apikey"
SUBMIT = {
    TOKEN: lambda: {"name": "ci", "can_write": "on", "is_active": "on"},
    PUBLISHER: lambda: {"name": "The Daily", "existing_key": "", "is_active": "on"},
    KEY: lambda: {"name": "laptop", "owner": ProfileFactory().pk, "group": "", "is_active": "on"},
}
USE = {
    TOKEN: lambda api, secret: api.call("POST", "/_/token", {"name": "another"}, bearer=secret).status_code == 201,
    PUBLISHER: lambda api, secret: api.call("GET", "/token", headers={"X-PUB-KEY": secret}).status_code == 200,
    KEY: lambda api, secret: api.call("POST", "/auth/v1/key", {"key": secret}).status_code == 200,
}
MODELS = {TOKEN: NamedToken, PUBLISHER: Publisher, KEY: ApiKey}
MINTS = {TOKEN: "tokens:named_token:mint", PUBLISHER: "podcast_perf:publisher:add", KEY: "edi_auth:api_key:mint"}
every_kind = pytest.mark.parametrize("kind", SUBMIT)


def add(admin, kind, **changes):
    return admin.post(reverse(f"admin:{kind}_add"), {**SUBMIT[kind](), **changes})


@every_kind
def test_shows_the_secret(admin, kind):
    response = add(admin, kind)
    assert response.status_code == 200
    assert "admin/shown_once.html" in [template.name for template in response.templates]
    assert response.context["secret"] in response.content.decode()


@every_kind
def test_shows_it_on_a_page_that_has_left_its_address_before_it_is_there(admin, kind):
    page = add(admin, kind).content.decode()
    (script,) = re.findall(r"<script [^>]*shown_once[^>]*>", page)
    assert "defer" not in script
    assert page.index('id="shown-once"') < page.index(script) < page.index("<textarea")


@every_kind
def test_keeps_the_page_out_of_caches(admin, kind):
    assert "no-store" in add(admin, kind)["Cache-Control"]


@every_kind
def test_shows_a_secret_that_works(admin, api, kind):
    assert USE[kind](api, add(admin, kind).context["secret"])


@every_kind
def test_shows_a_curl_line_that_holds_the_secret(admin, kind):
    response = add(admin, kind)
    assert response.context["example"].startswith("curl http://testserver/")
    assert response.context["secret"] in response.context["example"]


@every_kind
def test_shows_the_secret_once(admin, kind):
    secret = add(admin, kind).context["secret"]
    row = MODELS[kind].objects.get(name=SUBMIT[kind]()["name"])
    for page, arguments in (("changelist", []), ("change", [row.pk]), ("history", [row.pk]), ("add", [])):
        assert secret not in admin.get(reverse(f"admin:{kind}_{page}", args=arguments)).content.decode()


@every_kind
def test_stores_no_secret(admin, kind):
    secret = add(admin, kind).context["secret"]
    stored = [*MODELS[kind].objects.values(), *AuditEvent.objects.values(), dict(admin.session)]
    assert secret not in str(stored)


@every_kind
def test_names_the_operator_in_the_audit_log(admin, operator, kind):
    add(admin, kind)
    event = AuditEvent.objects.get(action=MINTS[kind])
    assert (event.actor_kind, event.channel, event.actor_label) == ("operator", "admin", "jane")
    assert (event.actor_id, event.address) == (str(operator.pk), "127.0.0.1")
    assert len(event.request_id) == 16


@every_kind
def test_mints_nothing_without_a_csrf_token(operator, kind):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator)
    assert add(browser, kind).status_code == 403
    assert not MODELS[kind].objects.exists()


@every_kind
def test_mints_one_that_is_switched_off(admin, api, kind):
    body = SUBMIT[kind]()
    del body["is_active"]
    secret = admin.post(reverse(f"admin:{kind}_add"), body).context["secret"]
    assert not MODELS[kind].objects.get().is_active
    assert not USE[kind](api, secret)


@pytest.mark.parametrize(
    ("kind", "start"),
    [(TOKEN, None), (PUBLISHER, datetime(2027, 1, 1, tzinfo=UTC)), (KEY, datetime(2027, 1, 1, tzinfo=UTC))],
)
def test_keeps_the_period_of_validity(admin, kind, start):
    period = {"expires_at_0": "2027-01-31", "expires_at_1": "12:00:00"}
    if start:
        period |= {"starts_at_0": "2027-01-01", "starts_at_1": "00:00:00"}
    add(admin, kind, **period)
    row = MODELS[kind].objects.get()
    assert (row.starts_at, row.expires_at) == (start, datetime(2027, 1, 31, 12, tzinfo=UTC))


def test_mints_a_key_of_a_group(admin):
    group = GroupFactory()
    add(admin, KEY, group=group.pk)
    assert ApiKey.objects.get().group == group


@pytest.mark.parametrize(
    ("kind", "existing"),
    [(TOKEN, lambda: NamedTokenFactory(name="ci")), (PUBLISHER, lambda: PublisherFactory(name="The Daily"))],
)
def test_refuses_a_taken_name_with_a_message(admin, kind, existing):
    existing()
    response = admin.post(reverse(f"admin:{kind}_add"), SUBMIT[kind](), follow=True)
    assert response.status_code == 200
    assert "already" in response.content.decode()
    assert MODELS[kind].objects.count() == 1


@pytest.mark.parametrize(("kind", "setting"), [(TOKEN, "NAMED_TOKEN"), (PUBLISHER, "PUBLISHER"), (KEY, "API_KEY")])
def test_says_on_the_form_what_is_refused_and_keeps_what_was_typed(admin, settings, kind, setting):
    setattr(settings, f"{setting}_MAX_LIFETIME", timedelta(days=30))
    typed = {"allowed_networks": "192.0.2.0/24", "expires_at_0": "2099-01-31", "expires_at_1": "12:00:00"}
    response = add(admin, kind, **typed)
    form = response.context["adminform"].form
    assert form.errors == {"expires_at": ["Must lie within 30 days; that is the longest that is allowed here."]}
    page = response.content.decode()
    assert 'value="192.0.2.0/24"' in page
    assert 'value="2099-01-31"' in page
    assert not MODELS[kind].objects.filter(name=SUBMIT[kind]()["name"]).exists()
    assert not AuditEvent.objects.exists()


def test_refuses_a_key_that_would_end_before_it_begins(admin):
    period = {
        "starts_at_0": "2027-02-01",
        "starts_at_1": "00:00",
        "expires_at_0": "2027-01-01",
        "expires_at_1": "00:00",
    }
    response = admin.post(reverse("admin:edi_auth_apikey_add"), {**SUBMIT[KEY](), **period}, follow=True)
    assert response.status_code == 200
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * 256, "a\x00b", "a\x07b", "a\x1b[31mb", "a\nb"], ids=ascii)
@every_kind
def test_refuses_a_name_that_makes_no_sense(admin, kind, name):
    response = admin.post(reverse(f"admin:{kind}_add"), {**SUBMIT[kind](), "name": name}, follow=True)
    assert response.status_code == 200
    assert not MODELS[kind].objects.exists()


def test_takes_a_key_that_the_publisher_has_and_shows_it_to_nobody(admin, api):
    response = add(admin, PUBLISHER, existing_key="a-key-from-the-old-server")
    assert response.status_code == 302
    assert "a-key-from-the-old-server" not in admin.get(response["Location"]).content.decode()
    assert USE[PUBLISHER](api, "a-key-from-the-old-server")


def test_adds_a_profile(admin):
    body = {"idp": "ldap", "idp_uid": "uid=jane,o=EDI,dc=edirepository,dc=org", "common_name": "Jane", "email": ""}
    other = ProfileFactory()
    assert admin.post(reverse("admin:edi_auth_profile_add"), {**body, "links": [other.pk]}).status_code == 302
    profile = Profile.objects.get(common_name="Jane")
    assert profile.link_ids == [other.edi_id]


@pytest.mark.parametrize("uid", ["", "a*b", "public", "a\nb", "jane\n"], ids=ascii)
def test_adds_no_profile_of_an_identity_that_makes_no_sense(admin, uid):
    body = {"idp": "ldap", "idp_uid": uid, "common_name": "Jane", "email": ""}
    admin.post(reverse("admin:edi_auth_profile_add"), body, follow=True)
    assert "\n" not in "".join(Profile.objects.values_list("idp_uid", flat=True))
    assert not Profile.objects.exclude(idp_uid="jane").exists()


def many_profiles(number, *, first_id=1):
    """So many profiles, the first of which has that id."""
    fields = {"idp": "orcid", "created_at": timezone.now()}
    ids = range(first_id, first_id + number)
    return Profile.objects.bulk_create(
        Profile(pk=pk, idp_uid=str(pk), edi_id=edi_id_of(str(pk)), **fields) for pk in ids
    )


def as_sent(**fields):
    return {"data": urlencode(fields, doseq=True), "content_type": "application/x-www-form-urlencoded"}


def test_saves_a_group_with_a_thousand_members_and_more(admin):
    ids = [profile.pk for profile in many_profiles(1500)]
    body = as_sent(name="Curators", members=ids)
    assert admin.post(reverse("admin:edi_auth_group_add"), **body).status_code == 302
    assert Group.objects.get().members.count() == 1500


def test_changes_a_group_with_as_many_members_as_a_form_has_room_for(admin):
    group, members = GroupFactory(), many_profiles(MAX_CHOSEN, first_id=1_000_000_000)
    group.members.set(members)
    page = reverse("admin:edi_auth_group_change", args=[group.pk])
    body = as_sent(**{**shown_by(admin, page), "name": "Curators", "members": [one.pk for one in members[1:]]})
    assert admin.post(page, **body).status_code == 302
    group.refresh_from_db()
    assert (group.name, group.members.count()) == ("Curators", MAX_CHOSEN - 1)


def test_renames_a_group_with_more_members_than_a_form_has_room_for(admin):
    group = GroupFactory()
    group.members.set(many_profiles(MAX_CHOSEN + 1))
    page = reverse("admin:edi_auth_group_change", args=[group.pk])
    assert f"{MAX_CHOSEN + 1}, too many to choose from here" in admin.get(page).content.decode()
    assert admin.post(page, {**shown_by(admin, page), "name": "Curators"}).status_code == 302
    group.refresh_from_db()
    assert (group.name, group.members.count()) == ("Curators", MAX_CHOSEN + 1)


def test_adds_a_group_with_its_members(admin):
    member = ProfileFactory()
    body = {"name": "Curators", "members": [member.pk]}
    assert admin.post(reverse("admin:edi_auth_group_add"), body).status_code == 302
    assert Group.objects.get().member_ids == [member.edi_id]


def test_adds_a_publisher_by_the_name_of_a_revoked_one(admin):
    PublisherFactory(name="Feeds", revoked_at=timezone.now())
    admin.post(
        reverse("admin:podcast_perf_publisher_add"), {"name": "Feeds", "allowed_networks": "", "is_active": "on"}
    )
    assert Publisher.objects.get(name="Feeds").revoked_at is None


def test_adds_no_publisher_by_a_name_that_is_taken(admin):
    taken = PublisherFactory(name="Feeds")
    body = {"name": "Feeds", "allowed_networks": "", "is_active": "on"}
    response = admin.post(reverse("admin:podcast_perf_publisher_add"), body, follow=True)
    assert "There is a publisher of that name" in response.content.decode()
    assert list(Publisher.objects.all()) == [taken]
