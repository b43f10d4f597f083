"""Recovery codes: ten, shown once, kept as digests, each good once in place of the phone."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.admin.conftest import member
from tests.admin.test_sign_in import CODE, INDEX, SETUP, code_of, signed_in_by_password, switch_on
from tokens.models import AuditEvent, Operator, RecoveryCodes

pytestmark = pytest.mark.django_db

USED, MADE = "tokens:operator:use_recovery_code", "tokens:operator:make_recovery_codes"


def codes_on(response):
    return response.context["codes"]


def use(browser, code):
    return browser.post(CODE, {"recovery_code": code})


@pytest.fixture
def codes(admin, settings):
    """The recovery codes of jane, who has just switched the second factor on."""
    settings.OTP_TOTP_THROTTLE_FACTOR = 0
    return codes_on(switch_on(admin)[1])


def test_are_shown_when_the_second_factor_is_switched_on_and_never_again(admin, codes):
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", code) for code in codes)
    assert all(len(set(part)) > 5 for part in zip(*(code.split("-") for code in codes), strict=True))
    page = admin.get(SETUP).content.decode()
    assert "10 recovery codes are left" in page
    assert not [code for code in codes if code in page]


def test_are_shown_on_a_page_that_nobody_keeps(admin, settings):
    _, response = switch_on(admin)
    assert "no-store" in response["Cache-Control"]


def test_are_on_a_page_that_has_left_its_address_before_they_are_there(admin, settings):
    page = switch_on(admin)[1].content.decode()
    (script,) = re.findall(r"<script [^>]*shown_once[^>]*>", page)
    assert "defer" not in script
    assert page.index('id="shown-once"') < page.index(script) < page.index("<textarea")


def test_are_stored_as_digests(codes):
    stored = f"{RecoveryCodes.objects.values().get()} {AuditEvent.objects.values()}"
    assert not [code for code in codes if code in stored or code.replace("-", "") in stored]


def test_sign_in_once_each_in_place_of_the_phone(codes):
    browser = signed_in_by_password()
    assert use(browser, codes[3])["Location"] == INDEX
    assert browser.get(INDEX).status_code == 200
    again = signed_in_by_password()
    assert use(again, codes[3]).status_code == 200
    assert again.get(INDEX).status_code == 302
    assert use(again, codes[4])["Location"] == INDEX


def test_are_taken_however_they_are_spaced(codes):
    assert use(signed_in_by_password(), codes[0].replace("-", " ").upper())["Location"] == INDEX
    assert use(signed_in_by_password(), codes[1].replace("-", ""))["Location"] == INDEX


def test_tell_how_many_are_left(codes):
    browser = signed_in_by_password()
    use(browser, codes[0])
    assert "9 recovery codes are left" in browser.get(INDEX).content.decode()
    assert "9 recovery codes are left" in browser.get(SETUP).content.decode()


@pytest.mark.parametrize(
    ("is_required", "way"),
    [(False, "switch the second factor off and on again"), (True, "have another operator reset your second factor")],
)
def test_tell_what_to_do_about_a_lost_phone(codes, settings, is_required, way):
    settings.SECOND_FACTOR_REQUIRED = is_required
    browser = signed_in_by_password()
    for code in codes[:8]:
        use(browser, code)
    assert f"2 recovery codes are left. If your phone is lost, {way}." in browser.get(INDEX).content.decode()
    use(browser, codes[8])
    assert "1 recovery code is left." in browser.get(INDEX).content.decode()


def test_are_audited_when_they_are_used(codes):
    use(signed_in_by_password(), codes[0])
    event = AuditEvent.objects.get(action=USED)
    assert (event.before, event.after) == ({"recovery_codes_left": 10}, {"recovery_codes_left": 9})
    assert (event.object_label, event.actor_label) == ("jane", "jane")


@pytest.mark.parametrize("code", ["", "abcd-efgh-ijkl-mnop", "abcd", "0000-0000-0000-0000", "x" * 500])
def test_are_nothing_that_somebody_guesses(codes, code):
    browser = signed_in_by_password()
    assert use(browser, code).status_code == 200
    assert browser.get(INDEX).status_code == 302
    assert RecoveryCodes.objects.get().digests != []


def test_are_not_opened_by_what_the_database_holds(codes):
    browser = signed_in_by_password()
    for stored in RecoveryCodes.objects.get().digests:
        use(browser, stored)
        use(browser, stored[:16])
    assert browser.get(INDEX).status_code == 302


def test_are_nothing_where_none_were_made(admin, codes):
    RecoveryCodes.objects.all().delete()
    browser = signed_in_by_password()
    assert use(browser, codes[0]).status_code == 200
    assert browser.get(INDEX).status_code == 302


def test_do_not_take_the_place_of_the_six_digits_in_their_field(codes):
    browser = signed_in_by_password()
    browser.post(CODE, {"code": codes[0]})
    assert browser.get(INDEX).status_code == 302


def test_wait_longer_after_every_mistake(admin):
    code = codes_on(switch_on(admin)[1])[0]
    browser, begin = signed_in_by_password(), timezone.now()
    with time_machine.travel(begin, tick=False):
        for _ in range(3):
            use(browser, "abcd-efgh-ijkl-mnop")
        assert RecoveryCodes.objects.get().throttling_failure_count == 1
        assert use(browser, code).status_code == 200
    with time_machine.travel(begin + timedelta(seconds=1), tick=False):
        assert use(browser, code)["Location"] == INDEX


def test_wait_no_longer_for_a_mistake_before_a_code_that_was_right(admin):
    codes, begin = codes_on(switch_on(admin)[1]), timezone.now()
    locations = []
    for seconds, code in enumerate(["abcd-efgh-ijkl-mnop", codes[0], "abcd-efgh-ijkl-mnop", codes[1]]):
        with time_machine.travel(begin + timedelta(seconds=seconds), tick=False):
            locations.append(use(signed_in_by_password(), code).headers.get("Location"))
    assert locations == [None, INDEX, None, INDEX]


def test_let_a_comparison_in_constant_time_have_the_last_word(codes, monkeypatch):
    browser = signed_in_by_password()
    monkeypatch.setattr("tokens.models.is_same", lambda first, second: False)
    assert use(browser, codes[0]).status_code == 200


def test_slow_nobody_down_who_has_the_phone(admin, settings):
    settings.OTP_TOTP_THROTTLE_FACTOR = 60
    device, _ = switch_on(admin)
    TOTPDevice.objects.update(last_t=-1)
    browser = signed_in_by_password()
    use(browser, "abcd-efgh-ijkl-mnop")
    assert browser.post(CODE, {"code": code_of(device)})["Location"] == INDEX


def test_of_somebody_else_open_nothing(codes):
    User.objects.create_user("joe", password="correct horse battery staple", is_staff=True)
    joe = signed_in_by_password("joe")
    switch_on(joe)
    browser = signed_in_by_password("joe")
    assert use(browser, codes[0]).status_code == 200
    assert browser.get(INDEX).status_code == 302


def test_are_made_anew_and_end_those_of_before(admin, codes):
    response = admin.post(SETUP, {"codes": "1"})
    fresh = codes_on(response)
    assert not set(fresh) & set(codes)
    assert "no-store" in response["Cache-Control"]
    assert AuditEvent.objects.filter(action=MADE, object_label="jane").count() == 1
    assert use(signed_in_by_password(), codes[0]).status_code == 200
    assert use(signed_in_by_password(), fresh[0])["Location"] == INDEX


def test_let_whoever_signed_in_with_one_make_new_ones(codes):
    browser = signed_in_by_password()
    use(browser, codes[0])
    assert len(codes_on(browser.post(SETUP, {"codes": "1"}))) == 10
    assert browser.get(INDEX).status_code == 200


def test_are_made_for_nobody_without_a_second_factor(admin):
    response = admin.post(SETUP, {"codes": "1"})
    assert "There is no second factor" in response.content.decode()
    assert not RecoveryCodes.objects.exists()


def test_are_made_for_nobody_who_has_not_given_the_code(codes):
    before = RecoveryCodes.objects.get().digests
    assert signed_in_by_password().post(SETUP, {"codes": "1"})["Location"].startswith(CODE)
    assert RecoveryCodes.objects.get().digests == before


def test_are_made_by_a_viewer_for_that_viewer_alone(codes):
    before = RecoveryCodes.objects.get().digests
    browser = member("viewers")
    switch_on(browser)
    browser.post(SETUP, {"codes": "1", "user": "1", "id": "1", "username": "jane"})
    assert RecoveryCodes.objects.get(user__username="jane").digests == before


def test_take_no_post_without_a_csrf_token(operator, codes):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator)
    assert browser.post(CODE, {"recovery_code": codes[0]}).status_code == 403


def test_end_with_the_second_factor(admin, codes):
    admin.post(SETUP, {"off": "1"})
    assert not RecoveryCodes.objects.exists()


@pytest.mark.parametrize("how", ["command", "superuser"])
def test_end_when_the_second_factor_is_forgotten(admin, codes, how):
    if how == "command":
        call_command("forget_second_factor", "jane")
    else:
        data = {"id": [Operator.objects.get().pk], "reason": "lost the phone"}
        admin.post(reverse("admin:tokens_operator_verb", args=["forget_second_factor"]), data)
    assert not RecoveryCodes.objects.exists()


@pytest.mark.parametrize("role", ["viewers", "issuers", "security"])
def test_a_second_factor_is_forgotten_by_superusers_alone(codes, role):
    browser = member(role)
    jane = Operator.objects.get(username="jane").pk
    data = {"action": "forget_second_factor_selected", "_selected_action": [jane]}
    assert browser.post(reverse("admin:tokens_operator_changelist"), data).status_code == 403
    verb = reverse("admin:tokens_operator_verb", args=["forget_second_factor"])
    assert browser.post(verb, {"id": [jane], "reason": "lost the phone"}).status_code == 403
    assert TOTPDevice.objects.filter(confirmed=True).exists()
    assert RecoveryCodes.objects.exists()
