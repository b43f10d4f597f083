"""A superuser has the registry forget the second factor of whoever lost a phone: asked about first, and recorded."""

import pytest
from django.contrib.auth.models import Group as Role
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from tokens.models import AuditEvent, OperatorPolicy, RecoveryCodes

pytestmark = pytest.mark.django_db

LIST, PAGE = "/admin/tokens/operator/", "/admin/tokens/operator/verbs/forget_second_factor/"
REASON = "lost the phone, called back"


def with_factor(name):
    """An operator with a second factor and recovery codes."""
    user = User.objects.create_user(name, is_staff=True)
    TOTPDevice.objects.create(user=user, confirmed=True)
    RecoveryCodes.objects.create(user=user, digests=["1", "2"])
    return user


def has_factor(user):
    return TOTPDevice.objects.filter(user=user).exists() and RecoveryCodes.objects.filter(user=user).exists()


def select(browser, *users):
    data = {"action": "forget_second_factor_selected", "_selected_action": [user.pk for user in users]}
    return browser.post(LIST, data)


def forget(browser, *users, reason=REASON):
    return browser.post(PAGE, {"id": [user.pk for user in users], "reason": reason})


def test_is_asked_about_before_it_is_done(admin):
    joe = with_factor("joe")
    for response in (select(admin, joe), admin.get(PAGE, {"id": joe.pk})):
        assert response.status_code == 200
        assert response.context["title"] == "Forget the second factor: joe"
        assert "admin/registry/ask.html" in [template.name for template in response.templates]
    assert has_factor(joe)
    assert not AuditEvent.objects.exists()


def test_is_done_to_one_and_recorded_with_the_reason(admin):
    joe, other = with_factor("joe"), with_factor("other")
    TOTPDevice.objects.create(user=joe, confirmed=False)
    response = forget(admin, joe)
    assert response["Location"] == reverse("admin:tokens_operator_change", args=[joe.pk])
    assert not TOTPDevice.objects.filter(user=joe).exists()
    assert not RecoveryCodes.objects.filter(user=joe).exists()
    assert has_factor(other)
    event = AuditEvent.objects.get()
    assert (event.action, event.object_label) == ("tokens:operator:switch_off_second_factor", "joe")
    assert (event.actor_label, event.channel, event.reason) == ("jane", "admin", REASON)
    assert event.before == {"has_second_factor": True, "recovery_codes_left": 2}
    assert event.after == {"has_second_factor": False, "recovery_codes_left": 0}


def test_is_done_to_a_selection(admin):
    users = [with_factor("joe"), with_factor("ann")]
    assert {row.pk for row in select(admin, *users).context["rows"]} == {user.pk for user in users}
    forget(admin, *users)
    assert set(AuditEvent.objects.values_list("object_label", flat=True)) == {"joe", "ann"}
    assert not TOTPDevice.objects.exists()


def test_takes_a_reason(admin):
    joe = with_factor("joe")
    assert forget(admin, joe, reason="").status_code == 200
    assert has_factor(joe)
    assert not AuditEvent.objects.exists()


def test_is_offered_on_the_page_of_whoever_has_one(admin):
    joe, ann = with_factor("joe"), User.objects.create_user("ann", is_staff=True)
    for user, is_offered in ((joe, True), (ann, False)):
        page = admin.get(reverse("admin:tokens_operator_change", args=[user.pk])).content.decode()
        assert (f"{PAGE}?id={user.pk}" in page) == is_offered


def test_leaves_alone_whoever_has_none(admin):
    ann = User.objects.create_user("ann", is_staff=True)
    assert forget(admin, ann).status_code == 302
    assert not AuditEvent.objects.exists()


def test_tells_whoever_has_to_have_one_that_theirs_stays(admin, operator):
    OperatorPolicy.objects.create(user=operator, must_have_second_factor=True)
    admin.get("/admin/second-factor/")
    TOTPDevice.objects.filter(user=operator).update(confirmed=True)
    session = admin.session
    session["otp_device_id"] = TOTPDevice.objects.get().persistent_id
    session.save()
    page = admin.post(PAGE, {"id": [operator.pk], "reason": REASON}, follow=True).content.decode()
    assert "You need a second factor." in page
    assert TOTPDevice.objects.filter(user=operator, confirmed=True).exists()


@pytest.mark.parametrize("role", ["viewers", "issuers", "security"])
def test_is_done_by_superusers_alone(client, role):
    joe, ann = with_factor("joe"), User.objects.create_user("ann", is_staff=True)
    ann.groups.add(Role.objects.get(name=role))
    client.force_login(ann)
    statuses = [select(client, joe).status_code, client.get(PAGE, {"id": joe.pk}).status_code]
    assert [*statuses, forget(client, joe).status_code] == [403, 403, 403]
    assert has_factor(joe)


def test_is_done_by_nobody_who_has_not_given_their_own_code(admin, operator):
    joe = with_factor("joe")
    TOTPDevice.objects.create(user=operator, confirmed=True)
    assert "/admin/second-factor/code/" in forget(admin, joe)["Location"]
    assert has_factor(joe)


def test_takes_no_post_without_a_csrf_token(operator):
    joe, browser = with_factor("joe"), Client(enforce_csrf_checks=True)
    browser.force_login(operator)
    assert forget(browser, joe).status_code == 403
    assert has_factor(joe)
