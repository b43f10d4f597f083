"""Ways to ask the OAuth endpoints."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.client import APIClient
from tests.factories import NamedTokenFactory, value_of


@pytest.fixture
def reader(db: Any) -> str:
    """The value of a read token."""
    return value_of(NamedTokenFactory(name="reader", can_write=False))


@pytest.fixture
def introspect(api: APIClient, reader: str) -> Callable[..., Any]:
    """What `/introspect` says of a credential to whoever has a read token."""

    def ask(token: str, **parameters: str) -> Any:
        response = api.call("POST", "/introspect", {"token": token, **parameters}, bearer=reader)
        assert response.status_code == 200, response.content
        return response.json()

    return ask
