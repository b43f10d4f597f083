"""A browser, a server for it, and operators. Without chromium these tests skip, under CI they fail."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Page, expect

from tokens.core.admin import roles

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright runs a loop in the thread of the tests

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("no-sandbox", "headless", "disable-gpu", "disable-quic", "no-first-run")
QUIET = ("disable-background-networking", "disable-component-update", "disable-sync")
PASSWORD = "correct horse battery staple"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None and os.environ.get("CI") != "true":
        for item in items:
            if "tests/browser/" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason="There is no chromium here (on Debian: apt install chromium)."))


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    assert CHROMIUM, "There is no chromium here (on Debian: apt install chromium)."
    return {"executable_path": CHROMIUM, "args": [f"--{flag}" for flag in (*FLAGS, *QUIET)]}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}


@pytest.fixture
def house(live_server: Any) -> str:
    """The address of a server with the three roles, a superuser `jane` and a viewer `joe`."""
    for label in ("tokens", "podcast_perf", "edi_auth"):
        roles.make_groups(label)
    User.objects.create_superuser("jane", password=PASSWORD)
    User.objects.create_user("joe", password=PASSWORD, is_staff=True).groups.add(Group.objects.get(name="viewers"))
    return str(live_server.url)


@pytest.fixture
def page(page: Page) -> Iterator[Page]:
    """A page in which nothing goes wrong unseen: no error in the console, nothing that the policy blocked."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    page.set_default_timeout(10_000)
    expect.set_options(timeout=10_000)
    yield page
    assert problems == []


def sign_in(page: Page, house: str, name: str = "jane") -> None:
    page.goto(f"{house}/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Overview").wait_for()
