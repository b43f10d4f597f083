"""One operator's second factor from two browsers at the same time."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.admin.test_sign_in import CODE, SETUP, code_of, signed_in_by_password, switch_on
from tests.tokens.test_race import at_once
from tokens.models import AuditEvent, RecoveryCodes

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 12


def statuses(*calls: Callable[[], object]) -> list[int]:
    """What `at_once` gives, of browsers that are signed in already."""
    return at_once(*(lambda _client, call=call: call().status_code for call in calls))


@pytest.fixture
def browsers(operator: User) -> list[Client]:
    """Two browsers in which jane is signed in."""
    made = [Client(), Client()]
    for browser in made:
        browser.force_login(operator)
    return made


def test_sets_up_one_device(browsers):
    for _ in range(ROUNDS):
        TOTPDevice.objects.all().delete()
        assert statuses(*(lambda browser=browser: browser.get(SETUP) for browser in browsers)) == [200, 200]
        assert TOTPDevice.objects.count() == 1


def test_is_switched_on_once(browsers, settings):
    settings.OTP_TOTP_THROTTLE_FACTOR = 0
    for number in range(1, ROUNDS + 1):
        TOTPDevice.objects.all().delete()
        browsers[0].get(SETUP)
        code = code_of(TOTPDevice.objects.get())
        statuses(*(lambda browser=browser, code=code: browser.post(SETUP, {"code": code}) for browser in browsers))
        assert AuditEvent.objects.filter(action="tokens:operator:switch_on_second_factor").count() == number


def test_takes_a_code_once(admin, browsers, settings):
    settings.OTP_TOTP_THROTTLE_FACTOR = 0
    device, _ = switch_on(admin)
    for _ in range(ROUNDS):
        TOTPDevice.objects.update(last_t=-1)
        code = code_of(device)
        posts = (lambda browser=browser, code=code: browser.post(CODE, {"code": code}) for browser in browsers)
        assert sorted(statuses(*posts)) == [200, 302]


def test_records_each_recovery_code_that_is_used(admin, settings):
    settings.OTP_TOTP_THROTTLE_FACTOR = 0
    codes = switch_on(admin)[1].context["codes"]
    entering = [signed_in_by_password() for _ in codes[:6]]
    for pair in (0, 2, 4):
        some = range(pair, pair + 2)
        posts = (lambda n=n: entering[n].post(CODE, {"recovery_code": codes[n]}) for n in some)
        assert statuses(*posts) == [302, 302]
    assert len(RecoveryCodes.objects.get().digests) == 4
    events = AuditEvent.objects.filter(action="tokens:operator:use_recovery_code")
    assert [event.before["recovery_codes_left"] for event in events] == [5, 6, 7, 8, 9, 10]
