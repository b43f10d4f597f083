"""The settings of the tests with one more app: its entry in `INSTALLED_APPS`, and the routes."""

import os

from tests.settings import *  # noqa: F403 — all of them
from tests.settings import DATABASES, INSTALLED_APPS, IS_SQLITE

os.environ["FOURTH_SECRET_KEY"] = "a-fourth-secret-for-tests-of-32-bytes-or-more"

INSTALLED_APPS = [*INSTALLED_APPS, "tests.contracts.fourth"]
ROOT_URLCONF = "tests.contracts.fourth.all_urls"
if not IS_SQLITE:
    # A database of its own beside the one of the tests that start these.
    DATABASES["default"]["TEST"] = {"NAME": f"{DATABASES['default']['NAME']}_fourth"}
