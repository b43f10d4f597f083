"""Slow clients, half-open sockets, many connections, and restarts while clients are at it."""

import http.client
import os
import selectors
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace

import psutil
import pytest

from config.connection import MAX_HEAD_BYTES
from config.worker import ARRIVAL_SECONDS, MAX_WAITING
from tests.server.registry import free_port, rest_of, send, until

POST = b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\n"
PING = b"GET /auth/v1/ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
# Whoever had to wait for those who dawdle would wait until they are let go.
AT_ONCE_SECONDS = ARRIVAL_SECONDS / 2


def are_at_work(workers):
    """Whether both workers have started all that they do in the background."""
    return len(workers) == 2 and all(worker.num_threads() > 3 for worker in workers)


@contextmanager
def served(made):
    """Serve until the end of the context: the server's first process."""
    server = made.start()
    try:
        made.wait(server)
        until(lambda: made.call("GET", "/readyz").status == 200)
        until(lambda: are_at_work(psutil.Process(server.pid).children()))
        yield server
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.fixture(scope="module")
def process(made):
    """The first process of the server of all tests that leave it as it was."""
    with served(made) as server:
        yield server


@pytest.fixture
def descriptors():
    """As many of them as the system lets one have."""
    limits = psutil.Process().rlimit(psutil.RLIMIT_NOFILE)
    psutil.Process().rlimit(psutil.RLIMIT_NOFILE, (limits[1], limits[1]))
    yield
    psutil.Process().rlimit(psutil.RLIMIT_NOFILE, limits)


@pytest.fixture
def alone(made):
    """The registry at a port that no other test asks, and the first process of its server there."""
    own = replace(made, port=free_port())
    with served(own) as server:
        yield own, server


def test_serves_others_while_clients_dawdle(made, process):
    """Half a method, half a head, half a body, each from more clients than there are threads; and who says nothing."""
    bodies = [POST + b'Content-Length: 50\r\n\r\n{"key', POST + b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"key']
    beginnings = [b"G", b"GET /auth/v1/ping HTT", PING[:-4], *bodies] * 4 + [b""] * 20
    with ExitStack() as stack:
        for beginning in beginnings:
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)))
            client.sendall(beginning)
        for _ in range(3):
            begun = time.monotonic()
            assert made.call("GET", "/auth/v1/ping").status == 200
            assert time.monotonic() - begun < AT_ONCE_SECONDS


def answered(clients):
    """Those of them for whom something has arrived."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(0)]


def test_serves_others_whoever_sends_more_beginnings_than_may_wait(made, process, descriptors):
    """Those who wait longest are let go: two workers with as many as may wait and as many places besides."""
    with ExitStack() as stack:
        clients = []
        for number in range(2 * (MAX_WAITING + 8 * 4) + 100):
            clients.append(stack.enter_context(closing(socket.create_connection(("127.0.0.1", made.port), timeout=20))))
            clients[-1].sendall([PING[:-4], POST + b"Content-Length: 50\r\n\r\n{"][number % 2])
        for _ in range(3):
            begun = time.monotonic()
            assert made.call("GET", "/auth/v1/ping").status == 200
            assert time.monotonic() - begun < AT_ONCE_SECONDS
        clients[-2].sendall(b"\r\n\r\n")
        assert b"pong" in clients[-2].recv(65536)
        until(lambda: len(answered(clients)) >= len(clients) - 2 * MAX_WAITING)
        assert answered(clients)[0].recv(65536).startswith(b"HTTP/1.1 408 ")


def test_answers_who_sends_a_byte_at_a_time(made, process):
    with closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)) as client:
        body = f'{{"key": "{made.api_key}"}}'.encode()
        head = f"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        for byte in head.encode() + body:
            client.sendall(bytes([byte]))
            time.sleep(0.01)
        assert b"edi-token" in rest_of(client)


def test_answers_who_sends_in_more_pieces_than_the_kernel_has_room_for(made, process):
    body = f'{{"key": "{made.api_key}"}}'.ljust(20_000).encode()
    head = b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    with closing(socket.socket()) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
        client.settimeout(20)
        client.connect(("127.0.0.1", made.port))
        client.sendall(head)
        for byte in body:
            client.sendall(bytes([byte]))
        assert b"edi-token" in rest_of(client)


def test_asks_once_for_the_body_of_who_waits_to_be_asked(made, process):
    """More of them than there are threads, of whom most do not go on (RFC 9110, section 10.1.1)."""
    body = f'{{"key": "{made.api_key}"}}'.encode()
    head = (
        b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)))
            client.sendall(head)
            assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        begun = time.monotonic()
        client.sendall(body)
        answer = rest_of(client)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"edi-token" in answer
        assert time.monotonic() - begun < AT_ONCE_SECONDS


def test_asks_for_no_body_that_it_refuses(made, process):
    head = b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 65537\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)) as client:
        client.sendall(head)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "beginning",
    [
        b"Content-Length: 000000000000065537\r\n\r\n",
        b"Content-Length: 0000000100\r\n\r\n",
        b"Content-Length: 65537\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 25_000,
        b"Transfer-Encoding: chunked\r\n\r\n64\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"0\r\n" * 21_000,
    ],
    ids=["too large", "zeros", "refused", "many chunks", "end inside a chunk", "many ends"],
)
def test_serves_others_whatever_a_body_claims(made, process, beginning):
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)))
            client.sendall(POST + beginning)
        begun = time.monotonic()
        for _ in range(3):
            assert made.call("GET", "/auth/v1/ping").status == 200
        assert time.monotonic() - begun < AT_ONCE_SECONDS


def test_waits_for_no_head_that_is_too_large(made, process):
    with closing(socket.create_connection(("127.0.0.1", made.port), timeout=10)) as client:
        client.sendall(PING[:-2] + b"X-Large: 0123456789\r\n" * (MAX_HEAD_BYTES // 21 + 1))
        assert client.recv(65536).startswith(b"HTTP/1.1 431 ")
        assert client.recv(65536) == b""
    assert "Traceback" not in made.log


def test_goes_on_when_its_descriptors_run_out(alone):
    made, process = alone
    workers = psutil.Process(process.pid).children()
    for worker in workers:
        worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds() + 8, worker.rlimit(psutil.RLIMIT_NOFILE)[1]))
    with ExitStack() as stack:
        for _ in range(60):
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)))
            client.sendall(PING[:20])
        time.sleep(1)
        before = sum(worker.cpu_times().user + worker.cpu_times().system for worker in workers)
        time.sleep(2)
        assert sum(worker.cpu_times().user + worker.cpu_times().system for worker in workers) - before < 1
    assert made.call("GET", "/auth/v1/ping").status == 200
    assert psutil.Process(process.pid).children() == workers


def test_lets_go_of_who_never_comes_to_an_end(made, process):
    with closing(socket.create_connection(("127.0.0.1", made.port), timeout=ARRIVAL_SECONDS + 20)) as client:
        client.sendall(PING[:20])
        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert client.recv(65536) == b""


def test_waits_for_no_client_that_does_not_hang_up(made, process):
    """It was told "Connection: close" and stays all the same."""
    last = PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with ExitStack() as stack:
        begun = time.monotonic()
        for _ in range(8):
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)))
            client.sendall(last)
            assert client.recv(65536)
            assert made.call("GET", "/auth/v1/ping").status == 200
        assert time.monotonic() - begun < AT_ONCE_SECONDS


def test_answers_pipelined_requests_in_order(made, process):
    with closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)) as client:
        client.sendall(PING * 9 + PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = rest_of(client)
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
                status = exchanged(self.made)
            except OSError as exc:
                self.failures.append(repr(exc))
            else:
                if status == 200:
                    self.served += 1
                else:
                    self.failures.append(str(status))


def exchanged(made):
    """The status of an exchange, on a connection of its own.

    Connecting and sending are one call: the kernel lets the server know of nobody who has connected and sent nothing,
    and resets those when nobody listens any more. Raises `OSError`.
    """
    body = f'{{"key": "{made.api_key}"}}'.encode()
    head = f"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with closing(socket.socket()) as client:
        client.sendto(head.encode() + body, socket.MSG_FASTOPEN, ("127.0.0.1", made.port))
        client.settimeout(20)
        answer = rest_of(client)
    if not answer:
        raise ConnectionError("There was no answer.")
    return int(answer.split(maxsplit=2)[1])


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


class Kept(threading.Thread):
    """Asks again and again on one connection, until that ends."""

    def __init__(self, made, over):
        super().__init__(daemon=True)
        self.made, self.over, self.served = made, over, 0

    def run(self):
        with closing(self.made.connect()) as connection, suppress(OSError, http.client.HTTPException):
            while not self.over.is_set():
                self.served += send(connection, "GET", "/auth/v1/ping").status == 200


def test_has_a_place_for_everybody_in_turn(made, process):
    """More connections than places, none of them ever idle."""
    over = threading.Event()
    clients = [Kept(made, over) for _ in range(2 * 8 * 4 + 36)]
    for client in clients:
        client.start()
    deadline = time.monotonic() + 15
    while not all(client.served for client in clients) and time.monotonic() < deadline:
        time.sleep(0.1)
    over.set()
    for client in clients:
        client.join(timeout=30)
    assert [client.served for client in clients if not client.served] == []


def test_drops_no_request_when_it_is_told_to_stop(alone):
    made, process = alone
    before = exchanges(made)
    callers = [Caller(made) for _ in range(12)]
    for caller in callers:
        caller.start()
    time.sleep(1)
    process.terminate()
    assert process.wait(timeout=40) == 0
    for caller in callers:
        caller.over.set()
        caller.join(timeout=30)
    served = sum(caller.served for caller in callers)
    failures = [failure for caller in callers for failure in caller.failures]
    assert served > 0
    # 503 is an answer, which SQLite has for a crowd that writes.
    assert exchanges(made) - before == served + failures.count("503")
    # Once it has stopped nobody listens. Who connects in the moment in which the last worker closes its socket is reset
    # by the kernel, and nobody else knows of it.
    lost = [failure for failure in failures if "ConnectionRefused" not in failure and failure != "503"]
    assert len(lost) <= 2, lost


def exchanges(made):
    """How many the log tells of."""
    return made.log.count('"route":"/auth/v1/key"')


def test_frees_its_port_when_its_first_process_is_killed(alone):
    """Nobody is left to tell the workers; one of them has a connection that is never idle."""
    made, process = alone
    over = threading.Event()
    client = Kept(made, over)
    client.start()
    workers = psutil.Process(process.pid).children()
    process.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    over.set()
    assert alive == []


def test_finishes_what_it_has_begun_when_it_is_told_to_stop(alone):
    made, process = alone
    body = f'{{"key": "{made.api_key}"}}'.encode()
    head = f"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with closing(socket.create_connection(("127.0.0.1", made.port), timeout=20)) as client:
        client.sendall(head + body[:5])
        time.sleep(1)  # the request is being served: its body is waited for
        process.terminate()
        time.sleep(0.5)
        client.sendall(body[5:])
        received = rest_of(client)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"edi-token" in received
    assert process.wait(timeout=40) == 0
