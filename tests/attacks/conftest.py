"""Fixtures of the attacks: a door to try an input at, and the counter that knows of every one."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.attacks import counter
from tests.attacks.doors import DOORS
from tests.client import APIClient


@pytest.fixture
def api() -> APIClient:
    """A client that takes a 500 for an answer, as an attacker does."""
    client = APIClient()
    client.raise_request_exception = False
    return client


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Count inputs of the sort that the module of the test names in `SORT`."""
    return lambda inputs=1: counter.tried(request.module.SORT, inputs)


@pytest.fixture
def refuses(api: APIClient, tried: Callable[..., None], settings: Any) -> Callable[[str, str], bool]:
    """Present something at a door and tell whether the door refuses it in one of the ways that are documented."""
    settings.EDI_SERVICE_KEY = "a-service-key-that-nobody-has"

    def refuses(door: str, raw: str) -> bool:
        present, refusal = DOORS[door]
        tried()
        response = present(api, raw)
        assert response.status_code < 500, response.content
        return refusal(response)

    return refuses


def pytest_sessionfinish() -> None:
    """Leave the counts of this process behind."""
    counter.write()
