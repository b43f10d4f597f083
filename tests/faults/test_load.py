"""Slow clients, half-open sockets, many connections, and restarts while clients are at it."""

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import psutil
import pytest

from tests.core.process import PYTHON, start
from tests.server import registry
from tests.server.registry import send

PING = b"GET /auth/v1/ping HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A registry that is not served yet."""
    folder = tmp_path_factory.mktemp("registry")
    return registry.new(folder, f"sqlite:///{folder}/registry.sqlite3")


@pytest.fixture
def process(made):
    """The server's first process."""
    bind = f"127.0.0.1:{made.port}"
    server = start(
        PYTHON,
        "manage.py",
        "serve",
        "--bind",
        bind,
        "--workers",
        "2",
        environment=made.environment,
        log=made.folder / "log",
    )
    made._wait(server)
    deadline = time.monotonic() + 20
    while made.call("GET", "/readyz").status != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    yield server
    server.terminate()
    server.wait(timeout=60)


def test_serves_others_while_clients_dawdle(made, process):
    """Half a method, half a request line, half a header; and twenty that say nothing at all."""
    beginnings = [b"G", b"GET /auth/v1/ping HTT", b"GET /auth/v1/ping HTTP/1.1\r\nHost: lo", *[b""] * 20]
    with ExitStack() as stack:
        for beginning in beginnings:
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)))
            client.sendall(beginning)
        for _ in range(3):
            begun = time.monotonic()
            assert made.call("GET", "/auth/v1/ping").status == 200
            assert time.monotonic() - begun < 3


def test_answers_pipelined_requests_in_order(made, process):
    with closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)) as client:
        client.sendall(PING * 9 + PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 OK") == received.count(b"pong") == 10


def test_grows_neither_memory_nor_descriptors(made, process):
    def ask(_):
        connection = made.connect()
        try:
            return send(connection, "POST", "/auth/v1/key", {"key": made.api_key}).status
        finally:
            connection.close()

    def use():
        workers = psutil.Process(process.pid).children()
        return sum(w.memory_info().rss for w in workers), sum(w.num_fds() for w in workers)

    with ThreadPoolExecutor(16) as clients:
        assert set(clients.map(ask, range(400))) <= {200, 503}
        memory, descriptors = use()
        assert set(clients.map(ask, range(1200))) <= {200, 503}
    time.sleep(1)
    memory_after, descriptors_after = use()
    assert memory_after < memory + 16 * 2**20
    assert descriptors_after <= descriptors + 16


class Caller(threading.Thread):
    """Asks again and again on new connections, and keeps what went wrong."""

    def __init__(self, made):
        super().__init__(daemon=True)
        self.made, self.over = made, threading.Event()
        self.served, self.failures = 0, []

    def run(self):
        while not self.over.is_set():
            try:
                answer = self.made.call("POST", "/auth/v1/key", {"key": self.made.api_key})
            except OSError as exc:
                self.failures.append(repr(exc))
            else:
                if answer.status == 200:
                    self.served += 1
                else:
                    self.failures.append(str(answer.status))


def test_drops_no_request_when_its_workers_are_replaced(made, process):
    before = {worker.pid for worker in psutil.Process(process.pid).children()}
    callers = [Caller(made) for _ in range(4)]
    for caller in callers:
        caller.start()
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGHUP)
    deadline = time.monotonic() + 30
    while before & {w.pid for w in psutil.Process(process.pid).children()} and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    for caller in callers:
        caller.over.set()
    for caller in callers:
        caller.join(timeout=30)
    assert not before & {worker.pid for worker in psutil.Process(process.pid).children()}
    assert sum(caller.served for caller in callers) > 20
    assert [failure for caller in callers for failure in caller.failures] == []


def test_finishes_what_it_has_begun_when_it_is_told_to_stop(made):
    bind = f"127.0.0.1:{made.port}"
    server = start(
        PYTHON,
        "manage.py",
        "serve",
        "--bind",
        bind,
        "--workers",
        "2",
        environment=made.environment,
        log=made.folder / "log",
    )
    made._wait(server)
    body = f'{{"key": "{made.api_key}"}}'.encode()
    head = f"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)) as client:
        client.sendall(head + body[:5])
        time.sleep(1)  # the request is being served: its body is waited for
        server.terminate()
        time.sleep(0.5)
        client.sendall(body[5:])
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"edi-token" in received
    assert server.wait(timeout=40) == 0
