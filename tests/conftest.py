"""Fixtures that tests of several folders use."""

import json
import logging
import math
import secrets as random_source
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.backends.postgresql.creation import DatabaseCreation

from edi_auth import pasta, revocations
from tests.client import APIClient
from tests.factories import NamedTokenFactory, value_of
from tests.settings import DATA
from tokens.core.audit import Actor
from tokens.core.operations import counters, logs
from tokens.core.signing import KeyRing


def drop(creation: DatabaseCreation, name: str, verbosity: int) -> None:
    """Drop a test database even where a thread that a test has started still holds a connection to it."""
    with creation._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {creation.connection.ops.quote_name(name)} WITH (FORCE)")


DatabaseCreation._destroy_test_db = drop
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


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    """No test stores what another has counted."""
    counters._pending.clear()
    counters._uses.clear()


class Lines(logging.Handler):
    """Keeps every line that the server would write."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[bytes] = []
        self.setFormatter(logs.formatter("json"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).encode())


@pytest.fixture
def logged(no_secret_is_logged: list[bytes]) -> list[bytes]:
    """The lines that the test has logged until now."""
    return no_secret_is_logged


@pytest.fixture(autouse=True)
def no_secret_is_logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Hold every line that any test logs against every secret that was made or signed in it."""
    made: set[str] = set()

    def remembered(make: Any) -> Any:
        def remembering(*args: Any, **kwargs: Any) -> Any:
            secret = make(*args, **kwargs)
            made.add(secret)
            return secret

        return remembering

    monkeypatch.setattr(KeyRing, "sign", remembered(KeyRing.sign))
    monkeypatch.setattr(pasta, "sign", remembered(pasta.sign))
    monkeypatch.setattr(random_source, "token_urlsafe", remembered(random_source.token_urlsafe))
    handler = Lines()
    logs.configure("json", write=handler.lines.append)
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)
    logs.configure("json")
    pieces = {piece.encode() for secret in made for piece in (secret, secret[-40:])}
    everything = b"".join(handler.lines)
    assert [piece for piece in pieces if piece in everything] == []
