"""Clients that do not read what they have asked for, or slowly; and threads that all wait for something else."""

import re
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from tests.server.registry import rest_of, until

# Larger than what the kernel keeps for a client with so little room.
LARGE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
GET = f"GET {LARGE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
CLOSE = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.fixture(scope="module")
def server(made):
    """A server with two workers of four threads."""
    with made.serving():
        yield made


def reader(server):
    """A client with little room for what it does not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(("127.0.0.1", server.port))
    return client


def test_serves_others_while_clients_do_not_read(server):
    """More of them than there are threads, each with more to read than the kernel keeps."""
    with ExitStack() as stack:
        for _ in range(14):
            stack.enter_context(closing(reader(server))).sendall(GET * 8)
        time.sleep(1)
        for _ in range(3):
            begun = time.monotonic()
            assert server.call("GET", "/_/token", Authorization=f"Bearer {server.bearer}").status == 200
            assert time.monotonic() - begun < 3
    assert "Traceback" not in server.log


def test_gives_a_slow_reader_everything_in_order(server):
    whole = server.call("GET", LARGE).body
    with closing(reader(server)) as client:
        client.sendall(GET * 2 + CLOSE)
        time.sleep(0.5)
        answers = rest_of(client)
    assert len(whole) > 1_000_000
    assert answers.count(whole) == answers.count(b"HTTP/1.1 200 OK") == 3


def test_says_that_nothing_follows_when_the_last_of_it_was_read(server):
    """Its connection is closed by the server, which has told so."""
    with closing(reader(server)) as client:
        client.sendall(CLOSE)
        head = client.recv(4096)
        length = int(re.search(rb"Content-Length: (\d+)", head)[1])
        time.sleep(0.5)
        rest = rest_of(client)
    assert len(head) + len(rest) == head.index(b"\r\n\r\n") + 4 + length


def test_refreshes_while_every_thread_waits(server):
    """For a database whose lock somebody holds: a refresh needs neither."""
    pair = server.call("POST", "/auth/v1/key", {"key": server.api_key}).json()
    refresh = ("POST", "/auth/v1/token/refresh", {name: pair[name] for name in ("pasta-token", "edi-token")})
    assert server.call(*refresh).status == 200
    other = sqlite3.connect(f"{server.folder}/registry.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with ThreadPoolExecutor(24) as clients:
            waiting = [clients.submit(server.call, "POST", "/auth/v1/key", {"key": server.api_key}) for _ in range(24)]
            time.sleep(0.3)
            answers = [server.call(*refresh).status for _ in range(20)]
            # As many as there are threads, at the least.
            assert sum(not one.done() for one in waiting) >= 8
            assert answers == [200] * 20
    finally:
        other.execute("ROLLBACK")
        other.close()
    until(lambda: server.call("POST", "/auth/v1/key", {"key": server.api_key}).status == 200)
