"""Fixtures that tests of several folders use."""

import json
import logging
import math
from collections.abc import Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.db.backends.postgresql.creation import DatabaseCreation

from edi_auth import revocations
from tests.client import APIClient
from tests.factories import NamedTokenFactory, value_of
from tests.settings import DATA
from tests.watch import watch
from tokens.core.audit import Actor
from tokens.core.operations import counters, logs


def drop(creation: DatabaseCreation, name: str, verbosity: int) -> None:
    """Drop a test database even where a thread that a test has started still holds a connection to it."""
    with creation._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {creation.connection.ops.quote_name(name)} WITH (FORCE)")


DatabaseCreation._destroy_test_db = drop
watch.install()
# When most tests happen that hold the clock still.
NOW = datetime(2027, 1, 4, 12, tzinfo=UTC)
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
def clock(time_machine: Any) -> Any:
    """A clock that stands still at `NOW` until a test moves it."""
    time_machine.move_to(NOW, tick=False)
    return time_machine


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


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    """No test stores what another has counted."""
    counters._pending.clear()
    counters._uses.clear()


class Lines(logging.Handler):
    """Keeps every line that the server would write."""

    def __init__(self, lines: list[bytes]) -> None:
        super().__init__()
        self.lines = lines
        self.setFormatter(logs.formatter("json"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).encode())


@pytest.fixture
def logged(no_secret_is_logged: list[bytes]) -> list[bytes]:
    """The lines that the test has logged until now."""
    return no_secret_is_logged


@pytest.fixture(autouse=True)
def no_secret_is_logged() -> Iterator[list[bytes]]:
    """Hold every line that any test logs against every secret that was made or signed in it."""
    watch.begin()
    handler = Lines(watch.lines)
    logs.configure("json", write=watch.lines.append)
    logging.getLogger().addHandler(handler)
    yield watch.lines
    logging.getLogger().removeHandler(handler)
    logs.configure("json")
    assert watch.logged() == []


def pytest_sessionstart() -> None:
    """Have key files as servers have them; git keeps no such modes, and a system check warns of others."""
    for path in DATA.glob("*.pem"):
        path.chmod(0o600)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Hold every row of every table that any test writes against the same secrets, before the rows are gone."""
    result = yield
    # A test that has taken the database away, or broken its transaction, leaves nothing that could be read.
    with suppress(OperationalError, InterfaceError):
        if not connection.needs_rollback:
            assert watch.kept() == []
    return result
