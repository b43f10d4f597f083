"""A fourth issuer is one new app and no changed line elsewhere but its entry in the settings and in the routes."""

import os
import re

from tests.core.process import PYTHON, run

SETTINGS = "tests.contracts.fourth.settings"
TESTS = ("tests/contracts/fourth/proofs.py", "tests/contracts/test_every_kind.py")


def test_gets_the_rest_of_the_registry_for_nothing():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--ds", SETTINGS, "-k", "proofs or badge")
    done = run(PYTHON, "-m", "pytest", *options, *TESTS, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) >= 70
