"""The services of profiles and groups: add, update, lock, end tokens."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from edi_auth import services
from edi_auth.models import Group, Profile
from tests.conftest import VECTORS
from tests.edi_auth.forge import NOW, UID, edi_id
from tests.factories import GroupFactory, ProfileFactory
from tokens.core.errors import AlreadyExists, Invalid, NotFound
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

CONTROLS = ["a\nb", "a\n", "\na", "a\rb", "a\tb", "a\0b", "a\x1bb", "a\x7f"]
IDENTITIES = [
    ("ldap", "uid=jane,o=EDI,dc=edirepository,dc=org"),
    ("google", "jane@gmail.example"),
    ("orcid", "https://orcid.org/0000-0002-1825-0097"),
    ("github", "https://github.com/jane"),
    ("microsoft", "jane@example.onmicrosoft.com"),
]


def events():
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


@pytest.fixture
def add(actor):
    """Adds the profile of an LDAP identity unless told otherwise."""

    def add_profile(**given):
        return services.add_profile(**({"idp": "ldap", "idp_uid": "uid=jane", "actor": actor} | given))

    return add_profile


@pytest.mark.parametrize(("idp", "idp_uid"), IDENTITIES)
def test_adds_a_profile_for_an_identity(add, idp, idp_uid):
    add(idp=idp, idp_uid=idp_uid, common_name="Jane", email="jane@example.org", now=NOW)
    stored = Profile.objects.get()
    assert (stored.idp, stored.idp_uid, stored.edi_id) == (idp, idp_uid, edi_id(idp_uid))
    assert (stored.common_name, stored.email, stored.created_at) == ("Jane", "jane@example.org", NOW)
    assert (stored.locked_at, stored.tokens_valid_after) == (None, None)
    assert (stored.is_email_enabled, stored.is_email_verified) == (False, False)


def test_gives_the_edi_id_that_other_implementations_give(add):
    assert add(idp_uid=UID).edi_id == VECTORS["edi_id"]["edi_id"]


def test_takes_the_identity_of_a_google_profile_for_its_email(add):
    assert add(idp="google", idp_uid="jane@gmail.example").email == "jane@gmail.example"


@pytest.mark.parametrize("idp", ["ldap", "orcid", "github", "microsoft"])
def test_takes_the_identity_of_no_other_profile_for_its_email(add, idp):
    assert add(idp=idp, idp_uid="jane@example.onmicrosoft.com").email == ""


def test_keeps_the_email_that_a_google_profile_is_given(add):
    profile = add(idp="google", idp_uid="jane@gmail.example", email="j@example.org")
    assert profile.email == "j@example.org"


def test_records_who_added_a_profile(add):
    profile = add(now=NOW)
    event = AuditEvent.objects.get()
    assert (event.action, event.kind, event.object_id) == ("edi_auth:profile:add", "profile", str(profile.pk))
    assert (event.actor_kind, event.actor_label, event.at) == ("system", "test", NOW)
    assert event.before == {}
    assert event.after["edi_id"] == profile.edi_id


@pytest.mark.parametrize(
    ("given", "field"),
    [({"idp_uid": uid}, "idp_uid") for uid in ["", "*", "a*b", "a*", *CONTROLS, "x" * 256]]
    + [({"idp_uid": uid}, "idp_uid") for uid in ["public", "Public", "PUBLIC", "authenticated", "vetted", "Vetted"]]
    + [({"common_name": name}, "common_name") for name in [*CONTROLS, "x" * 256]]
    + [({"email": email}, "email") for email in ["jane", "jane@", "a@b@c", "jane@example.org\n", "x" * 250 + "@e.org"]]
    + [({"idp": idp}, "idp") for idp in ["", "LDAP", "saml", "group", None]]
    + [({"idp": "google", "idp_uid": "1178", "email": ""}, "email")],
    ids=lambda value: str(value)[:60],
)
def test_refuses_a_profile_that_makes_no_sense(add, given, field):
    with pytest.raises(Invalid) as refusal:
        add(**given)
    assert refusal.value.field == field
    assert not Profile.objects.exists()
    assert events() == []


def test_refuses_a_second_profile_for_an_identity(add):
    add()
    with pytest.raises(AlreadyExists, match="uid=jane"):
        add(idp="orcid", common_name="Other")
    assert Profile.objects.get().common_name == ""
    assert events() == ["edi_auth:profile:add"]


@pytest.mark.parametrize(
    "columns",
    [{"idp": "google", "email": ""}, {"idp_uid": ""}, {"edi_id": "x"}, {"idp_uid": UID}],
    ids=str,
)
def test_has_the_database_refuse_what_no_service_would_store(columns):
    ProfileFactory(idp_uid=UID)
    with pytest.raises(IntegrityError), transaction.atomic():
        ProfileFactory(**({"edi_id": edi_id("x")} | columns))


def test_adds_a_group_with_an_edi_id_of_its_own(actor):
    first, second = (services.add_group(name, actor=actor, now=NOW) for name in ("First", "Second"))
    assert first.edi_id != second.edi_id
    assert len(first.edi_id) == len(edi_id(""))
    assert first.edi_id.startswith("EDI-")
    assert (first.created_at, first.locked_at) == (NOW, None)


def test_adds_a_group_with_its_members(actor):
    members = ProfileFactory.create_batch(2)
    group = services.add_group("Team", actor=actor, members=members)
    assert set(group.members.all()) == set(members)
    assert AuditEvent.objects.filter(action="edi_auth:group:add", object_id=str(group.pk)).count() == 1


@pytest.mark.parametrize("name", ["", *CONTROLS, "x" * 256])
def test_refuses_a_group_that_makes_no_sense(actor, name):
    with pytest.raises(Invalid) as refusal:
        services.add_group(name, actor=actor)
    assert refusal.value.field == "name"
    assert not Group.objects.exists()
    assert events() == []


def test_refuses_a_second_group_of_a_name(actor):
    services.add_group("Team", actor=actor)
    with pytest.raises(AlreadyExists, match="Team"):
        services.add_group("Team", actor=actor, members=[ProfileFactory()])
    assert Group.objects.get().members.count() == 0
    assert events() == ["edi_auth:group:add"]


@pytest.mark.parametrize(
    "change",
    [
        {"common_name": "Janet"},
        {"common_name": ""},
        {"email": "janet@example.org"},
        {"email": ""},
        {"is_email_enabled": True},
        {"is_email_verified": True},
        {"is_administrator": True},
    ],
    ids=str,
)
def test_changes_what_is_given_and_nothing_else(actor, change):
    profile = ProfileFactory()
    before = Profile.objects.values().get()
    services.update(profile, actor=actor, **change)
    assert Profile.objects.values().get() == before | change


def test_changes_links_from_both_sides(actor):
    first, second, third = ProfileFactory.create_batch(3)
    first.links.add(second)
    services.update(first, actor=actor, links=[third])
    assert (first.link_ids, second.link_ids, third.link_ids) == ([third.edi_id], [], [first.edi_id])


def test_changes_name_and_members_of_a_group(actor):
    group, member = GroupFactory(), ProfileFactory()
    group.members.add(ProfileFactory())
    services.update(group, actor=actor, name="New", members=[member])
    group.refresh_from_db()
    assert (group.name, group.member_ids) == ("New", [member.edi_id])


def test_records_what_an_update_changed_and_nothing_else(actor):
    services.update(ProfileFactory(common_name="Jane"), actor=actor, common_name="Janet", is_email_enabled=False)
    event = AuditEvent.objects.get()
    assert (event.action, event.before) == ("edi_auth:profile:update", {"common_name": "Jane"})
    assert event.after == {"common_name": "Janet"}


def test_records_the_members_that_came_and_went(actor):
    group, old, new = GroupFactory(), ProfileFactory(), ProfileFactory()
    group.members.add(old)
    services.update(group, actor=actor, members=[new])
    event = AuditEvent.objects.get()
    assert (event.action, event.before) == ("edi_auth:group:update", {"member_ids": [old.edi_id]})
    assert event.after == {"member_ids": [new.edi_id]}


def test_records_no_update_that_changes_nothing(actor):
    profile = ProfileFactory()
    services.update(profile, actor=actor, common_name=profile.common_name, email=profile.email, links=[])
    services.update(profile, actor=actor)
    assert events() == []


@pytest.mark.parametrize(
    "change",
    [{"idp": "orcid"}, {"idp_uid": "x"}, {"edi_id": edi_id("x")}, {"locked_at": NOW}, {"tokens_valid_after": NOW}],
    ids=str,
)
def test_never_changes_an_identity_by_an_update(actor, change):
    profile = ProfileFactory()
    before = Profile.objects.values().get()
    services.update(profile, actor=actor, **change)
    assert Profile.objects.values().get() == before
    assert events() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [({"common_name": name}, "common_name") for name in [*CONTROLS, "x" * 256]]
    + [({"email": email}, "email") for email in ["jane", "jane@example.org\n"]]
    + [({"is_email_enabled": "maybe"}, "is_email_enabled")],
    ids=lambda value: str(value)[:60],
)
def test_refuses_an_update_that_makes_no_sense(actor, change, field):
    before, linked = ProfileFactory(), ProfileFactory()
    with pytest.raises(Invalid) as refusal:
        services.update(before, actor=actor, links=[linked], **change)
    assert refusal.value.field == field
    after = Profile.objects.get(pk=before.pk)
    assert (after.common_name, after.email, after.link_ids) == (before.common_name, before.email, [])
    assert events() == []


@pytest.mark.parametrize("change", [{"common_name": "Jane"}, {"email": "jane@example.org"}], ids=str)
def test_changes_what_else_there_is_of_a_google_profile(actor, change):
    profile = ProfileFactory(idp="google")
    services.update(profile, actor=actor, **change)
    assert Profile.objects.filter(**change).get() == profile


def test_refuses_to_take_its_email_from_a_google_profile(actor):
    profile = ProfileFactory(idp="google")
    with pytest.raises(Invalid, match="e-mail"):
        services.update(profile, actor=actor, email="")


def test_refuses_the_name_of_another_group_in_an_update(actor):
    GroupFactory(name="Taken")
    group, member = GroupFactory(name="Own"), ProfileFactory()
    with pytest.raises(AlreadyExists):
        services.update(group, actor=actor, name="Taken", members=[member])
    group.refresh_from_db()
    assert (group.name, group.member_ids) == ("Own", [])
    assert events() == []


PRINCIPALS = pytest.mark.parametrize("make", [ProfileFactory, GroupFactory])


@PRINCIPALS
def test_locks_and_unlocks(actor, make):
    row = make()
    services.set_locked(row, True, actor=actor, now=NOW)
    assert type(row).objects.get().locked_at == NOW
    services.set_locked(row, False, actor=actor)
    assert type(row).objects.get().locked_at is None
    assert events() == [f"edi_auth:{row.kind}:lock", f"edi_auth:{row.kind}:unlock"]


@PRINCIPALS
def test_records_who_locked_when_and_why(actor, make):
    row = make()
    services.set_locked(row, True, actor=actor, reason="left", now=NOW)
    event = AuditEvent.objects.get()
    assert (event.object_id, event.actor_label, event.reason, event.at) == (str(row.pk), "test", "left", NOW)
    assert (event.before, event.after) == ({"locked_at": None}, {"locked_at": NOW.isoformat()})


@PRINCIPALS
@pytest.mark.parametrize("locked_at", [None, NOW])
def test_changes_nothing_by_a_second_lock_or_unlock(actor, make, locked_at):
    row = make(locked_at=locked_at)
    services.set_locked(row, locked_at is not None, actor=actor, now=NOW + timedelta(days=1))
    assert type(row).objects.get().locked_at == locked_at
    assert events() == []


def test_ends_all_tokens_of_a_profile(actor):
    profile, other = ProfileFactory(), ProfileFactory()
    services.end_tokens(profile, actor=actor, reason="stolen", now=NOW)
    profile.refresh_from_db()
    other.refresh_from_db()
    assert (profile.tokens_valid_after, other.tokens_valid_after) == (NOW, None)
    event = AuditEvent.objects.get()
    assert (event.action, event.reason, event.at) == ("edi_auth:profile:end_tokens", "stolen", NOW)
    assert event.after == {"tokens_valid_after": NOW.isoformat()}


def test_ends_all_tokens_of_a_group(actor):
    group = GroupFactory()
    services.end_tokens(group, actor=actor, now=NOW)
    group.refresh_from_db()
    assert group.tokens_valid_after == NOW
    assert events() == ["edi_auth:group:end_tokens"]


def test_ends_all_tokens_again_at_a_later_moment(actor):
    profile = ProfileFactory()
    for moment in (NOW, NOW + timedelta(days=1)):
        services.end_tokens(profile, actor=actor, now=moment)
    profile.refresh_from_db()
    assert profile.tokens_valid_after == NOW + timedelta(days=1)


def test_gives_no_ended_token_back_when_the_clock_was_set_back(actor):
    profile = ProfileFactory()
    for moment in (NOW, NOW - timedelta(seconds=1)):
        services.end_tokens(profile, actor=actor, now=moment)
    profile.refresh_from_db()
    assert profile.tokens_valid_after == NOW


@pytest.mark.parametrize(("find", "make"), [(services.profile_of, ProfileFactory), (services.group_of, GroupFactory)])
def test_finds_a_row_by_its_edi_id(find, make):
    row = make()
    make()
    assert find(row.edi_id) == row


@pytest.mark.parametrize(("find", "make"), [(services.profile_of, GroupFactory), (services.group_of, ProfileFactory)])
@pytest.mark.parametrize(
    "change", [str, str.lower, lambda text: text[:-1], lambda text: ""], ids=["kind", "case", "cut", "empty"]
)
def test_finds_no_row_of_another_kind_or_name(find, make, change):
    with pytest.raises(NotFound):
        find(change(make().edi_id))
