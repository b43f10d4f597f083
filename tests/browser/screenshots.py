"""The pictures of the README: `python -m tests.browser.screenshots` writes `docs/images/*.png`.

A server with demo data in a folder that is deleted afterwards is looked at with Debian's chromium.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
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
    with tempfile.TemporaryDirectory(prefix="registry-pictures-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        names = {"EDI_JWT_PRIVATE_KEY_PATH": "edi.pem", "PASTA_PRIVATE_KEY_PATH": "pasta.pem", "ENV_FILE": "env"}
        environment = {
            **os.environ,
            **{name: f"{folder}/{file}" for name, file in names.items()},
            "DATABASE_URL": f"sqlite:///{folder}/registry.sqlite3",
            "HTTPS_ONLY": "false",
        }
        made = manage(environment, "init", "--demo")
        manage(environment, "make_demo_data", "--rows", "300")
        found = re.search(r"operator admin, password:?\s+(\S+)", made)
        assert found, "init printed no password."
        command = [sys.executable, "manage.py", "serve", "--bind", f"127.0.0.1:{port}", "--workers", "1"]
        quiet = subprocess.DEVNULL
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)  # noqa: S603 — our own
        try:
            take(f"http://127.0.0.1:{port}", found[1])
        finally:
            server.terminate()
            server.wait()


def manage(environment: dict[str, str], *arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)  # noqa: S603 — our own
    return done.stdout


def take(base: str, password: str) -> None:
    """Write every picture, the overview also as it is in the dark."""
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{base}/admin/login/").close()  # noqa: S310 — our own
            break
        except OSError:
            time.sleep(0.1)
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
