"""What an administrator of `/auth/v1` may do, ending tokens and locking, no operator takes who may not do it here."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from edi_auth.models import ApiKey, Profile
from tests.admin.conftest import member
from tests.factories import ApiKeyFactory, GroupFactory, ProfileFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def issuer():
    """A browser of an operator who mints and changes, and may not lock."""
    return member("issuers")


def changed(browser, profile, **fields):
    url = reverse("admin:edi_auth_profile_change", args=[profile.pk])
    response = browser.post(url, {"common_name": profile.common_name, "email": profile.email, **fields}, follow=True)
    assert "Saved" in response.content.decode()
    return Profile.objects.get(pk=profile.pk)


def minted(browser, owner, **fields):
    given = {"name": "laptop", "owner": owner.pk, "is_active": "on", **fields}
    return browser.post(reverse("admin:edi_auth_apikey_add"), given, follow=True)


def rotated(browser, key):
    answers = {"id": key.pk, "grace": "24"}
    return browser.post(reverse("admin:edi_auth_apikey_verb", args=["rotate"]), answers, follow=True)


def test_lets_whoever_may_not_lock_make_no_administrator(issuer):
    assert not changed(issuer, ProfileFactory(), is_administrator="on").is_administrator


def test_lets_whoever_may_not_lock_unmake_no_administrator(issuer):
    assert changed(issuer, ProfileFactory(is_administrator=True), common_name="Ada").is_administrator


def test_lets_whoever_may_not_lock_add_no_administrator(issuer):
    given = {"idp": "ldap", "idp_uid": "uid=ada", "email": "ada@example.org", "is_administrator": "on"}
    issuer.post(reverse("admin:edi_auth_profile_add"), given)
    assert not Profile.objects.get(idp_uid="uid=ada").is_administrator


def test_lets_a_superuser_make_an_administrator(admin):
    assert changed(admin, ProfileFactory(), is_administrator="on").is_administrator


@pytest.mark.parametrize("by", ["flag", "setting"])
def test_gives_whoever_may_not_lock_no_key_of_an_administrator(issuer, settings, by):
    owner = ProfileFactory(is_administrator=by == "flag")
    settings.EDI_ADMIN_IDS = [owner.edi_id] if by == "setting" else []
    assert "an administrator" in minted(issuer, owner).content.decode()
    assert not ApiKey.objects.exists()


def test_gives_whoever_may_not_lock_no_new_secret_of_an_administrator(issuer):
    key = ApiKeyFactory(owner=ProfileFactory(is_administrator=True))
    assert "an administrator" in rotated(issuer, key).content.decode()
    assert ApiKey.objects.get().key_hash == key.key_hash


def test_gives_whoever_may_not_lock_a_key_of_a_group_in_the_care_of_an_administrator(issuer):
    owner = ProfileFactory(is_administrator=True)
    assert "secret" in minted(issuer, owner, group=GroupFactory().pk).context
    assert "secret" in rotated(issuer, ApiKey.objects.get()).context


def test_gives_whoever_may_lock_a_key_of_an_administrator(issuer):
    may_lock = Permission.objects.get(content_type__app_label="edi_auth", codename="lock_profile")
    User.objects.get().user_permissions.add(may_lock)
    assert "secret" in minted(issuer, ProfileFactory(is_administrator=True)).context
    assert "secret" in rotated(issuer, ApiKey.objects.get()).context
