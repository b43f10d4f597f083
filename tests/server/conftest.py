"""One real server for all tests of this folder, and the client that stops in the middle of its body."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres import database
from tests.server import registry
from tests.server.registry import Registry
from tests.settings import IS_SQLITE


@contextmanager
def new_database(folder: Path, purpose: str) -> Iterator[str]:
    """The URL of an empty database: a file, or one beside that of the tests where they run on PostgreSQL."""
    if IS_SQLITE:
        yield f"sqlite:///{folder}/registry.sqlite3"
        return
    with database(os.environ["DATABASE_URL"], f"registry_{purpose}_{os.getpid()}") as url:
        yield url


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of the server's own."""
    with new_database(tmp_path_factory.mktemp("database"), "served") as url:
        yield url


@pytest.fixture(scope="session")
def idle(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """What `init --demo` made, not served yet."""
    folder: Path = tmp_path_factory.mktemp("registry")
    return registry.new(folder, database_url)


@pytest.fixture(scope="session")
def server(idle: Registry) -> Iterator[Registry]:
    """The server."""
    with idle.serving():
        yield idle


@pytest.fixture(scope="session", autouse=True)
def stalled(server: Registry) -> Iterator[list[socket.socket]]:
    """Clients that send half a body before the first test and stop; see `test_stalled_body.py`."""
    length = b"POST /auth/v1/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n" + b'{"key": '
    chunks = b"POST /auth/v1/key HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b'64\r\n{"key": '
    clients = []
    for request in (length, chunks):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        client.sendall(request)
        clients.append(client)
    yield clients
    for client in clients:
        client.close()
