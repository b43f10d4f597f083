"""A fourth issuer is one new app, and not one changed line elsewhere but its entry in the settings and in the routes."""

import os
import re
import subprocess
import sys

from django.conf import settings


def run(*arguments: str) -> int:
    """Run tests in a process with the fourth issuer installed, and return how many passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [*command, "--ds", "tests.contracts.fourth.settings", *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.findall(r"(\d+) passed", done.stdout)[-1])


def test_gets_the_rest_of_the_registry_for_nothing():
    proofs = run("tests/contracts/fourth/proofs.py", "tests/contracts/test_every_kind.py", "-k", "proofs or badge")
    assert proofs >= 50
