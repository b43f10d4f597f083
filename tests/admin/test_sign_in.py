"""Signing in: the second factor, what superusers require, what is recorded, and what the browser may load."""

import base64
import hashlib
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Group as Role
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.hashers import Argon2
from tests.admin.conftest import member, shown_by
from tokens import operators
from tokens.core import throttling
from tokens.models import AuditEvent, OperatorPolicy

pytestmark = pytest.mark.django_db

SETUP, CODE, INDEX = "/admin/second-factor/", "/admin/second-factor/code/", "/admin/"
PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def no_throttling(settings):
    settings.OTP_TOTP_THROTTLE_FACTOR = 0


def code_of(device, *, drift=0):
    totp = TOTP(device.bin_key)
    totp.time = time.time() + drift
    return f"{totp.token():06}"


def switch_on(browser):
    browser.get(SETUP)
    device = TOTPDevice.objects.get(confirmed=False)
    response = browser.post(SETUP, {"code": code_of(device)})
    return device, response


def signed_in_by_password(name="jane"):
    browser = Client()
    browser.post(reverse("admin:login"), {"username": name, "password": PASSWORD}, REMOTE_ADDR="192.0.2.1")
    return browser


def test_shows_a_qr_code_to_whoever_sets_it_up(admin):
    response = admin.get(SETUP)
    assert "<svg" in response.content.decode()
    assert parse_qs(urlsplit(TOTPDevice.objects.get().config_url).query)["issuer"] == ["Token registry"]
    assert response.context["form"].errors == {}
    assert response["Cache-Control"].startswith("max-age=0")


def test_is_switched_on_by_the_code_that_the_phone_shows(admin):
    device, response = switch_on(admin)
    device.refresh_from_db()
    assert response.status_code == 200
    assert device.confirmed
    assert "from now on signing in asks for a code" in response.content.decode()
    assert admin.get(INDEX).status_code == 200
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_label) == ("tokens:operator:switch_on_second_factor", "jane")
    assert event.before == {"has_second_factor": False, "recovery_codes_left": 0}
    assert event.after == {"has_second_factor": True, "recovery_codes_left": 10}


def test_is_set_up_by_each_with_a_device_of_their_own(admin):
    admin.get(SETUP)
    page = member("viewers").get(SETUP).content.decode()
    for name, is_shown in (("jane", False), ("viewers", True)):
        device = TOTPDevice.objects.get(user__username=name)
        assert (base64.b32encode(device.bin_key).decode() in page) == is_shown


def test_is_not_set_up_again_while_it_is_on(admin):
    switch_on(admin)
    for response in (admin.get(SETUP), admin.post(SETUP, {"code": "000000"})):
        assert response.status_code == 200
        assert "picture" not in response.context
    assert TOTPDevice.objects.count() == 1


def test_is_set_up_where_an_earlier_version_has_left_two_devices(admin, operator):
    TOTPDevice.objects.bulk_create(TOTPDevice(user=operator, confirmed=False) for _ in range(2))
    device = TOTPDevice.objects.order_by("pk")[0]
    admin.get(SETUP)
    admin.post(SETUP, {"code": code_of(device)})
    device.refresh_from_db()
    assert device.confirmed


@pytest.mark.parametrize("code", ["", "000000", "12345", "abcdef"])
def test_is_not_switched_on_by_anything_else(admin, code):
    admin.get(SETUP)
    admin.post(SETUP, {"code": code})
    assert not TOTPDevice.objects.filter(confirmed=True).exists()


def test_asks_for_the_code_after_the_password(admin):
    device, _ = switch_on(admin)
    TOTPDevice.objects.update(last_t=-1)
    browser = signed_in_by_password()
    response = browser.get(reverse("admin:tokens_namedtoken_changelist"))
    assert response["Location"].startswith(CODE)
    assert browser.post(response["Location"], {"code": "000000"}).status_code == 200
    assert browser.get(INDEX).status_code == 302
    passed = browser.post(response["Location"], {"code": code_of(device)})
    assert passed["Location"] == reverse("admin:tokens_namedtoken_changelist")
    assert browser.get(INDEX).status_code == 200


def test_opens_nothing_after_the_code_to_a_cookie_of_before(admin):
    device, _ = switch_on(admin)
    TOTPDevice.objects.update(last_t=-1)
    browser, thief = signed_in_by_password(), Client()
    thief.cookies["sessionid"] = browser.cookies["sessionid"].value
    assert browser.post(CODE, {"code": code_of(device)})["Location"] == INDEX
    assert (browser.get(INDEX).status_code, thief.get(INDEX).status_code) == (200, 302)


@pytest.mark.parametrize("path", [INDEX, "/admin/tokens/namedtoken/", "/admin/find/"])
def test_asks_for_the_code_where_the_site_has_a_prefix(admin, path):
    switch_on(admin)
    browser = signed_in_by_password()
    assert CODE in browser.get(path, SCRIPT_NAME="/registry").headers.get("Location", "")


@pytest.mark.parametrize("path", ["/", "/api/docs/"])
def test_asks_for_no_code_where_nobody_signs_in(admin, path):
    switch_on(admin)
    assert signed_in_by_password().get(path).status_code == 200


@pytest.mark.parametrize("template", ["{} {}", " {}{}", "{}{} "])
def test_takes_a_code_however_it_is_spaced(admin, template):
    device, _ = switch_on(admin)
    TOTPDevice.objects.update(last_t=-1)
    code = code_of(device)
    assert signed_in_by_password().post(CODE, {"code": template.format(code[:3], code[3:])})["Location"] == INDEX


@pytest.mark.parametrize("path", [SETUP, CODE, "/admin/password_change/"])
@pytest.mark.parametrize("name", [None, "joe"])
def test_has_no_page_for_whoever_is_no_operator(client, path, name):
    if name:
        client.force_login(User.objects.create_user(name))
    for response in (client.get(path), client.post(path, {"code": "000000"})):
        assert response.headers.get("Location", "").startswith("/admin/login/")


def test_takes_no_code_twice(admin, time_machine):
    time_machine.move_to(timezone.now(), tick=False)  # every half minute there is another code
    device, _ = switch_on(admin)
    browser = signed_in_by_password()
    browser.post(CODE, {"code": code_of(device)})
    assert browser.get(INDEX).status_code == 302


@pytest.mark.parametrize(
    ("body", "complaints"),
    [
        (None, (set(), set())),
        ({"code": "000000"}, ({"code"}, set())),
        ({"recovery_code": "abcd-efgh-ijkl-mnop"}, (set(), {"recovery_code"})),
    ],
    ids=["nothing", "a code", "a recovery code"],
)
def test_complains_of_what_is_wrong_and_of_nothing_else(admin, body, complaints):
    switch_on(admin)
    browser = signed_in_by_password()
    response = browser.get(CODE) if body is None else browser.post(CODE, body)
    assert tuple(set(response.context[name].errors) for name in ("form", "recovery")) == complaints
    assert response["Cache-Control"].startswith("max-age=0")


@pytest.mark.parametrize(("name", "confirmed"), [("joe", True), ("jane", False)], ids=["another's", "not set up"])
def test_takes_no_code_of_another_phone(admin, name, confirmed):
    switch_on(admin)
    User.objects.create_user("joe", is_staff=True)
    other = TOTPDevice.objects.create(user=User.objects.get(username=name), confirmed=confirmed)
    browser = signed_in_by_password()
    assert browser.post(CODE, {"code": code_of(other)}).status_code == 200
    assert browser.get(INDEX).status_code == 302


def test_takes_no_code_so_soon_after_a_mistake(admin, settings, time_machine):
    del settings.OTP_TOTP_THROTTLE_FACTOR
    device, _ = switch_on(admin)
    TOTPDevice.objects.update(last_t=-1)
    browser, begin = signed_in_by_password(), timezone.now()
    locations = []
    for seconds, code in ((0, "000000"), (0, code_of(device)), (1, code_of(device))):
        time_machine.move_to(begin + timedelta(seconds=seconds), tick=False)
        locations.append(browser.post(CODE, {"code": code}).headers.get("Location"))
    assert locations == [None, None, INDEX]


def test_goes_nowhere_else_after_the_code(admin):
    device, _ = switch_on(admin)
    TOTPDevice.objects.update(last_t=-1)
    browser = signed_in_by_password()
    response = browser.post(f"{CODE}?next=https://evil.example/", {"code": code_of(device)})
    assert response["Location"] == INDEX


def test_goes_on_after_the_code_to_what_was_asked_for_with_its_filters(admin):
    device, _ = switch_on(admin)
    TOTPDevice.objects.update(last_t=-1)
    browser = signed_in_by_password()
    asked = f"{reverse('admin:tokens_auditevent_changelist')}?channel=api&q=%26%23"
    passed = browser.post(browser.get(asked)["Location"], {"code": code_of(device)})
    assert passed["Location"] == asked


def test_changes_nothing_before_the_code(admin):
    switch_on(admin)
    browser = signed_in_by_password()
    for path in (SETUP, reverse("admin:password_change"), reverse("find_secret")):
        assert browser.post(path, {"off": "1"})["Location"].startswith(CODE)
    assert TOTPDevice.objects.filter(confirmed=True).exists()


def test_lets_whoever_has_given_no_code_sign_out(admin):
    switch_on(admin)
    browser = signed_in_by_password()
    assert browser.get(reverse("admin:jsi18n")).status_code == 200
    assert "Location" not in browser.post(reverse("admin:logout"))
    assert "_auth_user_id" not in browser.session


def test_can_be_switched_off_again(admin):
    switch_on(admin)
    assert "The second factor is off." in admin.post(SETUP, {"off": "1"}, follow=True).content.decode()
    assert not TOTPDevice.objects.filter(confirmed=True).exists()
    assert AuditEvent.objects.first().action == "tokens:operator:switch_off_second_factor"


def test_leaves_whoever_must_have_one_no_other_page(client):
    joe = User.objects.create_user("joe", is_staff=True)
    OperatorPolicy.objects.create(user=joe, must_have_second_factor=True)
    client.force_login(joe)
    assert client.get(INDEX)["Location"] == SETUP
    page = client.get(SETUP)
    assert page.status_code == 200
    assert "You need a second factor." in page.content.decode()
    switch_on(client)
    assert client.get(INDEX).status_code == 200
    client.post(SETUP, {"off": "1"})
    assert TOTPDevice.objects.filter(confirmed=True).exists()


def test_records_nothing_where_there_is_none_to_switch_off(admin):
    admin.post(SETUP, {"off": "1"})
    assert not AuditEvent.objects.exists()


def test_is_required_of_nobody_for_what_is_required_of_another(admin, operator):
    OperatorPolicy.objects.create(user=operator, must_have_second_factor=False)
    OperatorPolicy.objects.create(user=User.objects.create_user("joe"), must_have_second_factor=True)
    assert admin.get(INDEX).status_code == 200
    switch_on(admin)
    admin.post(SETUP, {"off": "1"})
    assert not TOTPDevice.objects.filter(confirmed=True).exists()


def test_can_be_required_of_everybody(admin, settings):
    settings.SECOND_FACTOR_REQUIRED = True
    assert admin.get(INDEX)["Location"] == SETUP


def test_is_kept_by_whoever_must_have_one_and_forgotten_by_others(admin, settings, actor):
    switch_on(admin)
    settings.SECOND_FACTOR_REQUIRED = True
    admin.post(SETUP, {"off": "1"})
    assert operators.named("jane").has_second_factor
    operators.switch_off_second_factor(operators.named("jane"), actor=actor)
    assert not operators.named("jane").has_second_factor


def test_is_required_by_a_superuser(admin):
    joe = User.objects.create_user("joe", is_staff=True)
    url = reverse("admin:tokens_operator_change", args=[joe.pk])
    body = {**shown_by(admin, url), "username": "joe", "is_active": "on"}
    response = admin.post(url, {**body, "must_have_second_factor": "on"})
    assert response.status_code == 302
    assert OperatorPolicy.objects.get(user=joe).must_have_second_factor
    assert AuditEvent.objects.get().after == {"must_have_second_factor": True}
    admin.post(url, {**shown_by(admin, url), "username": "joe", "is_active": "on"})
    assert not OperatorPolicy.objects.get(user=joe).must_have_second_factor


def test_is_forgotten_by_a_superuser_for_whoever_lost_a_phone(admin, client):
    joe = User.objects.create_user("joe", is_staff=True)
    TOTPDevice.objects.create(user=joe, confirmed=True)
    data = {"id": [joe.pk], "reason": "lost the phone"}
    admin.post(reverse("admin:tokens_operator_verb", args=["forget_second_factor"]), data)
    assert not TOTPDevice.objects.filter(user=joe).exists()


def test_records_who_signs_in(operator):
    signed_in_by_password()
    event = AuditEvent.objects.get()
    assert (event.action, event.object_label, event.address) == ("tokens:operator:sign_in", "jane", "192.0.2.1")


def test_records_an_operator_who_is_added_and_what_they_may(admin):
    body = {"username": "joe", "password1": "staple battery horse", "password2": "staple battery horse"}
    admin.post(reverse("admin:tokens_operator_add"), {**body, "usable_password": "true"})
    joe = User.objects.get(username="joe")
    assert joe.is_staff
    url = reverse("admin:tokens_operator_change", args=[joe.pk])
    body = {"username": "joe", "is_active": "on", "groups": [Role.objects.get(name="viewers").pk]}
    admin.post(url, {**shown_by(admin, url), **body})
    changed, added = AuditEvent.objects.all()[:2]
    assert (added.action, changed.action) == ("tokens:operator:add", "tokens:operator:update")
    assert (added.after["is_staff"], added.after["is_superuser"]) == (True, False)
    assert (changed.before, changed.after) == ({"roles": []}, {"roles": ["viewers"]})
    assert "staple" not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    ("fields", "before", "after"),
    [
        ({"is_active": ""}, {"is_active": True}, {"is_active": False}),
        ({"is_superuser": "on"}, {"is_superuser": False}, {"is_superuser": True}),
        ({"username": "jo"}, {"username": "joe"}, {"username": "jo"}),
    ],
    ids=["switched off", "made a superuser", "renamed"],
)
def test_records_what_a_superuser_changes_of_an_operator(admin, fields, before, after):
    joe = User.objects.create_user("joe", is_staff=True)
    url = reverse("admin:tokens_operator_change", args=[joe.pk])
    admin.post(url, {**shown_by(admin, url), "username": "joe", "is_active": "on", **fields})
    event = AuditEvent.objects.get()
    assert (event.action, event.object_id) == ("tokens:operator:update", str(joe.pk))
    assert (event.before, event.after) == (before, after)


def test_records_a_changed_password_and_no_attempt_to_change_it(operator):
    browser = signed_in_by_password()
    fresh = "staple battery horse correct"
    body = {"old_password": PASSWORD, "new_password1": fresh, "new_password2": fresh}
    assert browser.post(reverse("admin:password_change"), body | {"old_password": "a guess"}).status_code == 200
    assert AuditEvent.objects.get().action == "tokens:operator:sign_in"
    assert browser.post(reverse("admin:password_change"), body).status_code == 302
    assert AuditEvent.objects.first().action == "tokens:operator:change_password"


def test_gives_few_guesses_at_the_old_password(operator, time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    throttling.forget()
    browser = signed_in_by_password()
    fresh = "staple battery horse correct"
    body = {"old_password": PASSWORD, "new_password1": fresh, "new_password2": fresh}
    page = reverse("admin:password_change")
    guesses = [browser.post(page, body | {"old_password": f"guess {number}"}).status_code for number in range(6)]
    assert guesses == [200, 200, 200, 200, 200, 302]
    refused = browser.post(page, body, follow=True)
    assert "The old password was wrong too often." in refused.content.decode()
    operator.refresh_from_db()
    assert operator.check_password(PASSWORD)
    time_machine.shift(timedelta(minutes=1))
    assert browser.post(page, body).status_code == 302
    operator.refresh_from_db()
    assert operator.check_password(fresh)


def test_counts_no_mistake_in_the_new_password(operator):
    browser = signed_in_by_password()
    body = {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert [browser.post(reverse("admin:password_change"), body).status_code for _ in range(7)] == [200] * 7


def test_records_a_password_that_is_set_for_somebody_and_no_attempt_to(admin):
    joe = User.objects.create_user("joe", is_staff=True, password=PASSWORD)
    url = reverse("admin:auth_user_password_change", args=[joe.pk])
    fresh = "staple battery horse correct"
    admin.post(url, {"password1": fresh, "password2": "another", "usable_password": "true"})
    admin.post(url, {"password1": fresh, "password2": fresh, "usable_password": "false"})
    assert not AuditEvent.objects.exists()
    admin.post(url, {"password1": fresh, "password2": fresh, "usable_password": "true"})
    event = AuditEvent.objects.get()
    assert (event.action, event.object_label, event.actor_label) == ("tokens:operator:change_password", "joe", "jane")
    joe.refresh_from_db()
    assert joe.check_password(fresh)


def test_deletes_no_operator(admin, operator):
    joe = User.objects.create_user("joe")
    response = admin.post(reverse("admin:tokens_operator_delete", args=[joe.pk]), {"post": "yes"})
    assert response.status_code == 403


def test_keeps_passwords_with_little_memory():
    encoded = Argon2().encode("secret", "salt-of-some-length")
    assert encoded.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("prefix", ["", "/registry", "/administration"])
@pytest.mark.parametrize(("path", "may_evaluate"), [("/admin/login/", True), ("/", False), ("/api/docs/", False)])
def test_tells_the_browser_what_it_may_run(client, path, may_evaluate, prefix):
    policy = client.get(path, SCRIPT_NAME=prefix)["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert ("'unsafe-eval'" in policy) == may_evaluate
    assert "'unsafe-inline'" not in policy.partition("script-src")[2]
    assert "frame-ancestors 'none'" in policy


def test_ends_sessions(admin, settings):
    assert settings.SESSION_COOKIE_AGE <= 12 * 3600
    assert settings.SESSION_EXPIRE_AT_BROWSER_CLOSE


def test_is_forgotten_by_a_command(operator):
    TOTPDevice.objects.create(user=operator, confirmed=True)
    call_command("forget_second_factor", "jane")
    assert not TOTPDevice.objects.exists()
    assert AuditEvent.objects.get().channel == "command"


def test_is_forgotten_of_nobody_unknown(operator):
    with pytest.raises(CommandError, match="no operator named"):
        call_command("forget_second_factor", "joe")


def test_keeps_no_session_under_the_name_in_its_cookie(client, django_user_model):
    client.force_login(django_user_model.objects.create_superuser("jane"))
    name, kept = client.cookies["sessionid"].value, Session.objects.get().session_key
    assert kept == hashlib.sha256(name.encode()).hexdigest()[:40]
    assert client.get("/admin/").status_code == 200
    client.cookies["sessionid"] = kept
    assert client.get("/admin/").status_code == 302
    client.cookies["sessionid"] = name
    assert client.post("/admin/logout/").status_code in {200, 302}
    assert not Session.objects.exists()
    client.cookies["sessionid"] = name
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    ("field", "kept"), [("is_superuser", {"is_active": "on"}), ("is_active", {"is_superuser": "on"})]
)
def test_keeps_the_last_superuser_who_may_sign_in(admin, operator, field, kept):
    User.objects.create_superuser("gone", is_active=False)
    url = reverse("admin:tokens_operator_change", args=[operator.pk])
    body = {**shown_by(admin, url), "username": "jane", **kept}
    response = admin.post(url, body)
    assert response.context["adminform"].form.errors == {field: ["Nobody else would be left to manage operators."]}
    operator.refresh_from_db()
    assert (operator.is_active, operator.is_superuser) == (True, True)
    User.objects.create_superuser("joe")
    assert admin.post(url, body).status_code == 302
    operator.refresh_from_db()
    assert not getattr(operator, field)
