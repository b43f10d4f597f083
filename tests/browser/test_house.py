"""What an operator does in a browser, from signing in to a revoked token; by mouse, by keyboard, by screen reader."""

import re
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in
from tests.factories import ApiKeyFactory, NamedTokenFactory, value_of
from tokens.models import NamedToken

PAGES = (
    "/admin/",
    "/admin/tokens/namedtoken/",
    "/admin/tokens/namedtoken/add/",
    "/admin/tokens/namedtoken/{token}/change/",
    "/admin/tokens/namedtoken/verbs/revoke/?id={token}",
    "/admin/edi_auth/apikey/",
    "/admin/tokens/auditevent/",
    "/admin/tokens/operator/",
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
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.locator(":focus").get_attribute("name") == "username":
            break
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_keeps_nobody_out(page, house, scheme):
    soon = timezone.now() + timedelta(days=2)
    token = NamedTokenFactory(expires_at=soon, last_used_at=timezone.now())
    ApiKeyFactory(expires_at=soon)
    page.emulate_media(color_scheme=scheme)
    sign_in(page, house)
    found = {}
    for path in PAGES:
        page.goto(house + path.format(token=token.pk))
        page.wait_for_load_state("networkidle")
        violations = Axe().run(page).response["violations"]
        serious = [
            f"{violation['id']}: {node['html'][:160]}"
            for violation in violations
            if violation["impact"] in {"serious", "critical"}
            for node in violation["nodes"][:3]
        ]
        if serious:
            found[path] = serious
    assert found == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_shows_the_overview_in_light_and_dark(page, house, scheme):
    page.emulate_media(color_scheme=scheme)
    sign_in(page, house)
    expect(page.get_by_role("heading", name="Expiring next")).to_be_visible()
    assert ("dark" in (page.locator("html").get_attribute("class") or "")) == (scheme == "dark")
