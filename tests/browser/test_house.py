"""What an operator does in a browser, from signing in to a revoked token; by mouse, by keyboard, by screen reader."""

import re
import time
from datetime import timedelta
from threading import Event

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice
from playwright.sync_api import Page, expect

from edi_auth import services
from tests.browser.conftest import PASSWORD, sign_in
from tests.factories import (
    ApiKeyFactory,
    GroupFactory,
    NamedTokenFactory,
    ProfileFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tokens.models import AuditEvent, NamedToken, Notice

PAGES = (
    "/admin/",
    "/admin/tokens/namedtoken/",
    "/admin/tokens/namedtoken/add/",
    "/admin/tokens/namedtoken/{token}/change/",
    "/admin/tokens/namedtoken/verbs/revoke/?id={token}",
    "/admin/edi_auth/apikey/",
    "/admin/edi_auth/apikey/add/",
    "/admin/edi_auth/profile/",
    "/admin/podcast_perf/publisher/",
    "/admin/podcast_perf/performancetoken/",
    "/admin/tokens/auditevent/",
    "/admin/tokens/notice/",
    "/admin/tokens/notice/{notice}/change/",
    "/admin/tokens/operator/",
    "/admin/tokens/operator/{operator}/change/",
    "/admin/tokens/operator/add/",
    "/admin/second-factor/",
)


def mint(page: Page, house: str, name: str) -> str:
    page.goto(f"{house}/admin/tokens/namedtoken/")
    page.get_by_role("link", name="Mint a named token").click()
    page.get_by_label("Name", exact=False).first.fill(name)
    page.get_by_role("button", name="Mint", exact=True).click()
    return page.get_by_label("Secret", exact=True).input_value()


def status(page: Page, house: str, secret: str) -> int:
    return page.request.get(f"{house}/_/token", headers={"Authorization": f"Bearer {secret}"}).status


def test_mints_uses_finds_and_revokes_a_named_token(page, house):
    sign_in(page, house)
    secret = mint(page, house, "ci")
    assert f"Bearer {secret}" in page.get_by_label("Try it").input_value()
    assert status(page, house, secret) == 200

    page.reload()
    expect(page.get_by_role("link", name="Revoke")).to_be_visible()
    assert secret not in page.content()
    assert NamedToken.objects.count() == 1

    page.goto(f"{house}/admin/")
    page.get_by_label("Paste the secret").fill(secret)
    page.get_by_role("button", name="Find what it opens").click()
    expect(page).to_have_url(re.compile(r"/admin/tokens/namedtoken/\d+/change/$"))
    assert secret not in page.content()

    page.get_by_role("link", name="Revoke").click()
    expect(page.get_by_text("1 of 1 can be used now")).to_be_visible()
    page.get_by_label("Reason").fill("found in a repository")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("found in a repository")).to_be_visible()
    assert status(page, house, secret) == 401


def test_takes_a_secret_in_the_search_of_a_list_to_its_row_and_into_no_url(page, house):
    sign_in(page, house)
    token = NamedTokenFactory(name="leaked")
    secret, urls = value_of(token), []
    page.on("request", lambda request: urls.append(request.url))
    page.goto(f"{house}/admin/edi_auth/apikey/")
    page.locator("#searchbar").fill(secret)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{house}/admin/tokens/namedtoken/{token.pk}/change/")
    assert not [url for url in urls if secret[:20] in url]


def test_switches_nothing_on_that_somebody_switched_off_meanwhile(page, house):
    end = timezone.now().replace(microsecond=123456) + timedelta(days=9)
    token = NamedTokenFactory(expires_at=end)
    sign_in(page, house)
    page.goto(f"{house}/admin/tokens/namedtoken/{token.pk}/change/")
    assert page.locator("input[name^=initial-]:visible").count() == 0
    expect(page.get_by_role("checkbox", name="Active", exact=True)).to_be_checked()
    NamedToken.objects.filter(pk=token.pk).update(is_active=False)
    page.get_by_label("Allowed networks").fill("127.0.0.0/8")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text(f"Saved {token.name}.")).to_be_visible()
    token.refresh_from_db()
    assert (token.is_active, token.allowed_networks, token.expires_at) == (False, ["127.0.0.0/8"], end)
    page.get_by_role("checkbox", name="Active", exact=True).set_checked(True, force=True)
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("checkbox", name="Active", exact=True)).to_be_checked()
    token.refresh_from_db()
    assert (token.is_active, token.expires_at) == (True, end)


def test_rotates_once_for_two_clicks_and_again_from_the_page_before(page, house, monkeypatch):
    key, rotate, is_clicked = ApiKeyFactory(), services.rotate_key, Event()
    secret = secret_of(key)

    def slowly(*args, **options):
        is_clicked.wait(timeout=10)
        return rotate(*args, **options)

    monkeypatch.setattr(services, "rotate_key", slowly)
    sign_in(page, house)
    posts = []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    asked = f"{house}/admin/edi_auth/apikey/verbs/rotate/?id={key.pk}"
    page.goto(asked)
    click = "() => document.querySelector('[action*=rotate] [type=submit]').click()"
    with page.expect_event("request", lambda request: request.url.endswith("/clicked")):
        page.evaluate(f"() => {{ setTimeout({click}); setTimeout({click}, 200); setTimeout(fetch, 400, '/clicked'); }}")
    is_clicked.set()
    expect(page.get_by_label("Secret", exact=True)).to_be_visible()
    assert len(posts) == 1
    assert AuditEvent.objects.filter(action="edi_auth:api_key:rotate").count() == 1
    assert page.request.post(f"{house}/auth/v1/key", data={"key": secret}).status == 200
    page.goto(asked)
    page.get_by_role("button", name="Rotate").click()
    expect(page.get_by_label("Secret", exact=True)).to_be_visible()
    assert len(posts) == 2


def test_sends_again_after_a_while_what_had_no_answer(page, house):
    key, posts = ApiKeyFactory(), []
    sign_in(page, house)
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    page.clock.install()
    page.goto(f"{house}/admin/edi_auth/apikey/verbs/rotate/?id={key.pk}")
    page.route("**/verbs/rotate/", lambda route: route.fulfill(status=204))  # the page stays
    click = "() => document.querySelector('[action*=rotate] [type=submit]').click()"
    with page.expect_event("response"):
        page.evaluate(click)
    page.clock.fast_forward(1_000)
    page.evaluate(click)
    page.unroute_all()
    page.clock.fast_forward(10_000)
    page.evaluate(click)
    expect(page.get_by_label("Secret", exact=True)).to_be_visible()
    assert len(posts) == 2


@pytest.mark.parametrize(
    ("kind", "make", "name"), [("group", GroupFactory, "Members"), ("profile", ProfileFactory, "Linked profiles")]
)
def test_names_the_field_that_completes_several(page, house, kind, make, name):
    sign_in(page, house)
    page.goto(f"{house}/admin/edi_auth/{kind}/{make().pk}/change/")
    expect(page.get_by_role("searchbox", name=name)).to_be_visible()


def test_searches_a_name_like_any_other_list(page, house):
    sign_in(page, house)
    NamedTokenFactory(name="deploy-1"), NamedTokenFactory(name="backup")
    page.goto(f"{house}/admin/tokens/namedtoken/")
    page.locator("#searchbar").fill("deploy")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="deploy-1")).to_be_visible()
    expect(page.get_by_role("link", name="backup")).to_have_count(0)


def test_revokes_a_selection(page, house):
    sign_in(page, house)
    NamedTokenFactory(name="first"), NamedTokenFactory(name="second")
    page.goto(f"{house}/admin/tokens/namedtoken/")
    for box in page.locator("input.action-select").all():
        box.check()
    page.locator("select[name=action]").select_option("revoke_selected")
    page.get_by_role("button", name=re.compile("Run|Go")).click()
    expect(page.get_by_text("2 of 2 can be used now")).to_be_visible()
    page.get_by_label("Reason").fill("spring cleaning")
    page.get_by_role("button", name="Revoke 2").click()
    expect(page.get_by_text("Revoked 2.")).to_be_visible()
    assert not NamedToken.objects.filter(revoked_at__isnull=True).exists()


def test_shows_a_viewer_no_verb_and_refuses_a_forged_one(page, house):
    token = NamedTokenFactory()
    sign_in(page, house, "joe")
    page.goto(f"{house}/admin/tokens/namedtoken/{token.pk}/change/")
    expect(page.get_by_role("link", name="Revoke")).to_have_count(0)
    expect(page.get_by_role("link", name="Audit log")).to_have_count(0)
    forged = page.goto(f"{house}/admin/tokens/namedtoken/verbs/revoke/?id={token.pk}")
    assert forged is not None
    assert forged.status == 403


def test_signs_in_mints_and_copies_by_keyboard_alone(page, house):
    page.goto(f"{house}/admin/login/")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "username":
            break
    else:
        pytest.fail("Tab never reaches the user name.")
    page.keyboard.type("jane")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery staple")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Overview").wait_for()
    reach(page, "Named tokens")
    reach(page, "Mint a named token")
    page.get_by_label("Name", exact=False).first.focus()
    page.keyboard.type("by-keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Secret", exact=True)).to_be_visible()
    reach(page, "Copy secret")
    expect(page.get_by_text("Copied.")).to_be_visible()


def reach(page: Page, name: str) -> None:
    """Press Tab until something of that name has the focus, which must be visible, then Enter."""
    for _ in range(80):
        page.keyboard.press("Tab")
        element = page.locator(":focus")
        if element.count() and name in (element.get_attribute("aria-label") or element.inner_text()):
            assert element.evaluate("e => getComputedStyle(e).outlineStyle") != "none"
            page.keyboard.press("Enter")
            return
    pytest.fail(f"Tab never reaches {name!r}.")


def rows():
    """What the addresses in `PAGES` name."""
    soon = timezone.now() + timedelta(days=2)
    token = NamedTokenFactory(expires_at=soon, last_used_at=timezone.now())
    ApiKeyFactory(expires_at=soon), PublisherFactory(use_count=7)
    told = {"kind": token.kind, "object_id": str(token.pk), "expires_at": soon, "days": 7, "channel": "mail"}
    notice = Notice.objects.create(**told, claimed_at=timezone.now(), failure="ConnectionRefusedError")
    return {"token": token.pk, "notice": notice.pk, "operator": User.objects.get(username="joe").pk}


def serious(page):
    """What keeps somebody out of a page."""
    return [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"][:3]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_keeps_nobody_out(page, house, scheme):
    known = rows()
    page.emulate_media(color_scheme=scheme)
    sign_in(page, house)
    found = {}
    for path in PAGES:
        page.goto(house + path.format(**known))
        page.wait_for_load_state("networkidle")
        if problems := serious(page):
            found[path] = problems
    assert found == {}


# The names of values, in lists too narrow for columns, that begin with a small letter.
SMALL_LABELS = """[...document.querySelectorAll("#result_list [data-label]")]
    .map((cell) => getComputedStyle(cell, "::before"))
    .filter((label) => label.textTransform != "capitalize" && /^"[a-z]/.test(label.content))
    .map((label) => label.content)"""


# The names of values that such a list shows no more than a part of.
CUT_OFF = """[...document.querySelectorAll("#result_list [data-label]")]
    .filter((cell) => cell.scrollWidth > cell.clientWidth || cell.scrollHeight > cell.clientHeight)
    .map((cell) => cell.dataset.label)"""


def test_fits_a_phone(page, house):
    known = rows()
    sign_in(page, house)
    page.set_viewport_size({"width": 390, "height": 844})
    found = {}
    for path in PAGES:
        page.goto(house + path.format(**known))
        page.wait_for_load_state("networkidle")
        if beyond := page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"):
            found[path] = beyond
        if wrong := page.evaluate(SMALL_LABELS) + page.evaluate(CUT_OFF):
            found[path] = wrong
    assert found == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signs_in_with_a_recovery_code_instead_of_the_phone(page, house, scheme):
    page.emulate_media(color_scheme=scheme)
    sign_in(page, house)
    page.goto(f"{house}/admin/second-factor/")
    totp = TOTP(TOTPDevice.objects.get().bin_key)
    totp.time = time.time()
    page.locator("input[name=code]").fill(f"{totp.token():06}")
    page.get_by_role("button", name="Switch it on").click()
    codes = page.get_by_label("10 recovery codes").input_value().split()
    assert len(codes) == 10
    problems = serious(page)
    page.reload()
    expect(page.get_by_text("10 recovery codes are left")).to_be_visible()
    assert codes[0] not in page.content()
    problems += serious(page)

    page.context.clear_cookies()
    page.goto(f"{house}/admin/")
    page.get_by_label("Username").fill("jane")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_text("No phone at hand?").click()
    problems += serious(page)
    page.get_by_label("Recovery code").fill(codes[0])
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("9 recovery codes are left")).to_be_visible()
    assert problems == []


def test_leads_from_the_badge_to_the_notices_that_failed(page, house):
    rows()
    sign_in(page, house, "joe")
    page.get_by_role("link", name="Notices 1").click()
    expect(page.locator("#result_list").get_by_text("failed")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_shows_the_overview_in_light_and_dark(page, house, scheme):
    page.emulate_media(color_scheme=scheme)
    sign_in(page, house)
    expect(page.get_by_role("heading", name="Expiring next")).to_be_visible()
    assert ("dark" in (page.locator("html").get_attribute("class") or "")) == (scheme == "dark")
