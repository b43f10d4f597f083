"""The API description, made once, and a worker that nobody has started."""

import logging
import os
import selectors
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import spectacular_settings
from gunicorn.config import Config

from config.worker import Worker


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The API description as the server gives it."""
    generator = SchemaGenerator(api_version=spectacular_settings.VERSION)
    made: dict[str, Any] = generator.get_schema(request=None, public=True)
    return made


@pytest.fixture
def unstarted():
    """A worker of gunicorn that has no listener and runs no loop, but can be told of events."""
    made = Worker(1, os.getpid(), [], None, 30, Config(), logging.getLogger(__name__))
    made.poller = selectors.DefaultSelector()
    yield made
    made.poller.close()
    made.tmp.close()
