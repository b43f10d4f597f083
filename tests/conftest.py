"""Fixtures that tests of several folders use."""

import json
import math
from typing import Any

import pytest

from edi_auth import revocations
from tests.client import APIClient
from tests.factories import NamedTokenFactory, value_of
from tests.settings import DATA
from tokens.core.audit import Actor

VECTORS = json.loads((DATA / "vectors.json").read_text())


@pytest.fixture
def api() -> APIClient:
    """A client of the APIs."""
    return APIClient()


@pytest.fixture
def actor() -> Actor:
    """Somebody who does things in tests."""
    return Actor(kind="system", channel="system", label="test")


@pytest.fixture
def bearer(db: Any) -> str:
    """The value of a usable write token."""
    return value_of(NamedTokenFactory(name="bearer"))


@pytest.fixture(autouse=True)
def snapshot(monkeypatch: pytest.MonkeyPatch) -> revocations.Snapshot:
    """An empty snapshot without a thread; `snapshot.renew()` reads what the test has stored."""
    fresh = revocations.Snapshot()
    fresh._loaded_at, fresh.known_until = 0.0, math.inf
    monkeypatch.setattr("edi_auth.services.snapshot", fresh)
    return fresh
