"""Operators whom several superusers change at the same time, or from pages that were opened long before."""

import pytest
from django.contrib.auth.models import Group as Role
from django.contrib.auth.models import User
from django.urls import reverse

from tests.admin.conftest import member, shown_by
from tokens.models import AuditEvent, OperatorPolicy

pytestmark = pytest.mark.django_db


def page_of(user):
    return reverse("admin:tokens_operator_change", args=[user.pk])


def role(name):
    return Role.objects.get(name=name)


@pytest.fixture
def joe():
    return User.objects.create_user("joe", is_staff=True, email="joe@example.org")


def test_stay_switched_off_when_an_older_page_is_saved(admin, joe):
    shown = shown_by(admin, page_of(joe))
    User.objects.filter(pk=joe.pk).update(is_active=False, is_superuser=False, username="gone")
    OperatorPolicy.objects.create(user=joe, must_have_second_factor=True)
    admin.post(page_of(joe), {**shown, "username": "joe", "is_active": "on", "email": "new@example.org"})
    joe.refresh_from_db()
    assert (joe.username, joe.is_active, joe.email) == ("gone", False, "new@example.org")
    assert joe.policy.must_have_second_factor


def test_are_demoted_for_good_when_an_older_page_is_saved(admin, joe):
    User.objects.filter(pk=joe.pk).update(is_superuser=True)
    shown = shown_by(admin, page_of(joe))
    User.objects.filter(pk=joe.pk).update(is_superuser=False)
    admin.post(page_of(joe), {**shown, "username": "jo", "is_active": "on", "is_superuser": "on"})
    joe.refresh_from_db()
    assert (joe.username, joe.is_superuser) == ("jo", False)


def test_keep_the_roles_that_others_gave_and_took_meanwhile(admin, joe):
    joe.groups.set([role("viewers"), role("issuers")])
    shown = shown_by(admin, page_of(joe))
    joe.groups.set([role("viewers")])
    chosen = [role(name).pk for name in ("viewers", "issuers", "security")]
    admin.post(page_of(joe), {**shown, "username": "joe", "is_active": "on", "groups": chosen})
    assert {group.name for group in joe.groups.all()} == {"viewers", "security"}
    assert AuditEvent.objects.get().after == {"roles": ["security", "viewers"]}


def test_get_a_requirement_from_two_pages_that_were_opened_before_there_was_one(admin, joe):
    shown = shown_by(admin, page_of(joe))
    for _ in range(2):
        body = {**shown, "username": "joe", "is_active": "on", "must_have_second_factor": "on"}
        assert admin.post(page_of(joe), body).status_code == 302
    assert OperatorPolicy.objects.get().must_have_second_factor


@pytest.mark.parametrize("ids", ["9" * 30, "x", "\0"])
def test_get_no_role_that_could_not_be_one(admin, joe, ids):
    admin.raise_request_exception = False
    response = admin.post(page_of(joe), {"username": "joe", "is_active": "on", "groups": ids})
    assert response.status_code == 400


def test_are_changed_by_nobody_who_has_the_permission_of_the_framework_alone(joe):
    browser = member("viewers")
    assert browser.post(page_of(joe), {"username": "joe", "is_superuser": "on"}).status_code == 403
