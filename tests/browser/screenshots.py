"""The pictures of the README: `python -m tests.browser.screenshots` writes `docs/images/*.png`.

A server with demo data in a folder that is deleted afterwards is looked at with Debian's chromium.
"""

import os
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from tests.core.process import ROOT
from tests.server import registry

IMAGES = ROOT / "docs" / "images"
PICTURES = {
    "overview": "/admin/",
    "named-tokens": "/admin/tokens/namedtoken/",
    "revoke": "/admin/tokens/namedtoken/verbs/revoke/?id=1",
    "api-key": "/admin/edi_auth/apikey/2/change/",
    "audit-log": "/admin/tokens/auditevent/",
}
FLAGS = ("--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run")


def main() -> None:
    """Serve, sign in, look."""
    with tempfile.TemporaryDirectory(prefix="registry-pictures-") as folder:
        made = registry.new(Path(folder))
        made.manage("make_demo_data", "--rows", "300")
        with made.serving(workers=1):
            take(made.url, made.secret("Admin"))


def take(base: str, password: str) -> None:
    """Write every picture, the overview also as it is in the dark."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        for scheme, suffix, wanted in (("light", "", PICTURES), ("dark", "-dark", {"overview": "/admin/"})):
            page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
            page.goto(f"{base}/admin/")
            page.get_by_label("Username").fill("admin")
            page.get_by_label("Password").fill(password)
            page.keyboard.press("Enter")
            page.get_by_role("link", name="Overview").wait_for()
            for name, path in wanted.items():
                page.goto(base + path)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=IMAGES / f"{name}{suffix}.png")
        browser.close()


if __name__ == "__main__":
    main()
