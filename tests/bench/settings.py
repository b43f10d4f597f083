"""The shipped settings and one more route, an empty view; what the environment says is what is measured."""

from config.settings import *  # noqa: F403 — the shipped ones

ROOT_URLCONF = "tests.bench.urls"
