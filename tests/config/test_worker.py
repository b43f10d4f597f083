"""What is missing of a request; what comes of it on the wire is in `tests/faults/test_load.py`."""

import errno
import math
import os
import socket
import time
from concurrent.futures import Future
from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest

from config import arriving, worker
from config.arriving import MAX_CHUNKED_BYTES, Walk, missing
from config.connection import MAX_HEAD_BYTES, Client, Connection
from config.worker import (
    ARRIVAL_SECONDS,
    DEPARTURE_SECONDS,
    FULL_SECONDS,
    LINGER_SECONDS,
    MAX_LINGERING,
    PAUSE_SECONDS,
    TURN_SECONDS,
)
from edi_auth.revocations import snapshot

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
REFRESH = b"POST /auth/v1/token/refresh HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("size", range(len(GET)))
def test_misses_the_rest_of_a_head(size):
    assert missing(GET[:size]) == 1


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (GET, 0),
        (GET + GET, 0),
        (GET + GET[:5], 0),
        (POST, 5),
        (POST + b"1234", 1),
        (POST + b"12345", 0),
        (POST + b"12345" + GET, 0),
        (POST.replace(b"Content-Length: 5", b"content-length:\t5 "), 5),
        (POST.replace(b"Content-Length: 5", b"X-Content-Length: 5"), 0),
        (POST.replace(b"Content-Length: 5", b"Content-Length: five"), 0),
        (POST.replace(b"5", b"65536"), 65536),
        (POST.replace(b"5", b"0000000100"), 100),
        (POST.replace(b"5", b"0" * 4000 + b"5"), 5),
        (POST.replace(b"Host: x", b"Expect: 100-Continue"), 5),
        (CHUNKED, 1),
        (CHUNKED.replace(b"chunked", b"gzip, Chunked "), 1),
        (CHUNKED + b"5", 1),
        (CHUNKED + b"5\r\n123", 4),
        (CHUNKED + b"5\r\n12345", 2),
        (CHUNKED + b"5\r\n12345\r\n", 1),
        (CHUNKED + b"b\r\n1\r\n0\r\n\r\n", 5),
        (CHUNKED + b"5\r\n12345\r\n0\r\nTrailer: x\r\n", 1),
        (CHUNKED + b"0\r\n" * 9000, 1),
        (CHUNKED + b"10000\r\n", 65538),
        (CHUNKED + b"10001\r\n", 65537),
        (CHUNKED + b"f" * 5000 + b"\r\n", 65537),
        (CHUNKED + b"5\r\n12345\r\n0\r\n", 1),
        (CHUNKED + b"5\r\n12345\r\n0\r\n\r\n", 0),
        (CHUNKED + b"0\r\n\r\n" + GET, 0),
        (CHUNKED + b"5;a=b\r\n12345\r\n00;a=b\r\nTrailer: x\r\n\r\n", 0),
    ],
)
def test_misses_the_rest_of_a_body(data, number):
    assert missing(data) == number


@pytest.mark.parametrize(
    "data",
    [
        POST.replace(b"5", b"65537"),
        POST.replace(b"5", b"9" * 30),
        POST.replace(b"5", b"5, 5"),
        b"\r\n\r\n",
        b"\r\n\r\n" + GET[:5],
        CHUNKED + b"0\r\n" * (MAX_CHUNKED_BYTES // 3 + 1),
        CHUNKED + b"10001\r\n" + b"x" * 65537,
        CHUNKED + b"1\r\nx\r\n10000\r\n" + b"x" * 65536,
        CHUNKED + b"-5\r\n",
        CHUNKED + b"\r\n",
        POST.replace(b"Host: x", b"Expect: a miracle"),
        POST.replace(b"Host: x", b"Transfer-Encoding: identity"),
        CHUNKED.replace(b"chunked", b"chunked, gzip"),
    ],
    ids=[
        *(
            "body",
            "length",
            "two lengths",
            "nothing",
            "nothing and more",
            "chunks",
            "chunk",
            "second chunk",
            "negative chunk",
            "empty size",
            "expectation",
        ),
        *("identity", "not chunked"),
    ],
)
def test_waits_for_nothing_that_is_refused(data):
    assert missing(data) == 0


def test_looks_at_each_chunk_once_however_it_arrives(monkeypatch):
    """A body of 60 KB in the smallest chunks, of which each look finds six bytes more."""
    looks = []

    class Pattern:
        def fullmatch(self, data, begin, end, size=arriving.CHUNK_SIZE):
            looks.append(end - begin)
            return size.fullmatch(data, begin, end)

    monkeypatch.setattr(arriving, "CHUNK_SIZE", Pattern())
    chunks, walk = 10_000, Walk()
    body = b"1\r\nx\r\n" * chunks
    assert missing(CHUNKED + body) == 1
    assert looks == [1] * chunks
    looks.clear()
    for size in range(0, 60_000, 600):
        assert missing(CHUNKED + body[:size], walk) == 1
    assert missing(CHUNKED + body + b"0\r\n\r\n", walk) == 0
    assert looks == [1] * (chunks + 1)


@pytest.fixture
def accepting(unstarted, monkeypatch):
    """A worker that has just been told of events, and what it serves: a function that may take its time."""
    unstarted._turn_ends = math.inf
    monkeypatch.setattr(snapshot, "age", lambda: 1.0)
    monkeypatch.setattr(unstarted, "handle", lambda conn: conn())
    monkeypatch.setattr(unstarted, "finish_request", lambda conn, done: done.result())
    return unstarted


def test_serves_where_it_accepts_until_its_turn_is_over(accepting, monkeypatch):
    now = time.monotonic()
    for after, may in [(0, True), (TURN_SECONDS - 0.001, True), (TURN_SECONDS, False)]:
        monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda after=after: now + after))
        assert accepting._may_serve_here() is may
        accepting._serve_here(lambda: True)


def test_serves_nothing_where_it_accepts_for_a_while_after_something_slow(accepting, monkeypatch):
    clock = SimpleNamespace(now=time.monotonic())
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def slow():
        clock.now += TURN_SECONDS + 0.001

    accepting._serve_here(slow)
    accepting._turn_ends = math.inf
    assert not accepting._may_serve_here()
    clock.now += PAUSE_SECONDS
    assert accepting._may_serve_here()


def test_serves_one_thing_at_a_time_where_it_accepts(accepting):
    seen = []
    accepting._serve_here(lambda: seen.append(accepting._may_serve_here()))
    assert (seen, accepting._may_serve_here()) == ([False], True)


def test_serves_nothing_where_it_accepts_before_it_knows_what_was_revoked(accepting, monkeypatch):
    monkeypatch.setattr(snapshot, "age", lambda: None)
    assert not accepting._may_serve_here()


@pytest.mark.parametrize(("family", "waits"), [(socket.AF_INET, False), (socket.AF_UNIX, True)])
def test_has_a_thread_wait_for_nothing_but_a_proxy_at_a_unix_socket(unstarted, monkeypatch, tmp_path, family, waits):
    served = []
    monkeypatch.setattr(unstarted, "_serve", served.append)
    with closing(socket.socket(family)) as listener, closing(socket.socket(family)) as client:
        listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket"))
        listener.listen()
        client.connect(listener.getsockname())
        client.send(GET)
        assert unstarted.accept(listener)
        (conn,) = served
        assert os.get_blocking(conn.sock.fileno()) is waits
        conn.close()


def test_hangs_up_on_the_oldest_of_too_many_who_linger(unstarted):
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(MAX_LINGERING + 2)]
        for pair in pairs:
            for end in pair:
                stack.enter_context(closing(end))
            unstarted.linger(pair[0])
        assert [pair[0].fileno() == -1 for pair in pairs] == [True, True] + [False] * MAX_LINGERING
        assert len(unstarted.poller.get_map()) == len(unstarted._lingering) == MAX_LINGERING
        # What the kernel told of one of them a moment before.
        unstarted._drain(pairs[0][0])


@pytest.fixture
def clock(monkeypatch):
    """The time, in seconds, that the worker is told."""
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def connect(unstarted):
    """Connect a client that has sent something: the worker's connection, and the client's end, which never waits."""
    with ExitStack() as stack:

        def run(sent=b"", address="192.0.2.1"):
            ours, theirs = socket.socketpair()
            stack.enter_context(closing(theirs))
            theirs.setblocking(False)
            theirs.send(sent)
            conn = Connection(unstarted, SimpleNamespace(), Client(ours), (address, 1), "")
            stack.callback(conn.close)
            unstarted.nr_conns += 1
            return conn, theirs

        yield run


@pytest.fixture
def arriving_at(unstarted, connect):
    """Connect a client, and wait for the rest of its request."""

    def run(address="192.0.2.1", sent=b"GET / HT"):
        conn, theirs = connect(sent, address)
        unstarted.enqueue_req(conn)
        return conn, theirs

    return run


@pytest.fixture
def departing_at(unstarted, connect):
    """Connect a client that has taken nothing of its answer yet; the connection is not to be kept."""

    def run(address="192.0.2.1"):
        conn, theirs = connect(b"", address)
        conn.sock.sendall(b"an answer")
        done = Future()
        done.set_result(False)
        unstarted.finish_request(conn, done)
        return conn, theirs

    return run


@pytest.fixture
def served(monkeypatch):
    """The connections that were given a thread."""
    made = []
    monkeypatch.setattr("config.worker.ThreadWorker.enqueue_req", lambda _, conn: made.append(conn))
    return made


def heard(theirs):
    """What the client was told: nothing once the worker has hung up, None while there is nothing."""
    try:
        return theirs.recv(1024)
    except BlockingIOError:
        return None


def test_lets_go_of_each_when_its_time_is_over(unstarted, clock, connect, arriving_at, departing_at):
    (arriving_, sender), (departing, reader), (lingering, leaver) = arriving_at(), departing_at(), connect()
    lingering.close(graceful=True)
    begun, waiting = clock.now, []
    for end in (LINGER_SECONDS, ARRIVAL_SECONDS, DEPARTURE_SECONDS):
        for seconds in (end, end + 0.001):
            clock.now = begun + seconds
            unstarted.murder_pending()
            ours = (lingering.sock in unstarted._lingering, arriving_ in unstarted._arriving)
            waiting.append((*ours, departing in unstarted._departing))
    yes, no = True, False
    assert waiting == [(yes, yes, yes), (no, yes, yes), (no, yes, yes), (no, no, yes), (no, no, yes), (no, no, no)]
    assert (heard(sender)[:12], heard(leaver), heard(reader)) == (b"HTTP/1.1 408", b"", b"")
    assert (unstarted.nr_conns, dict(unstarted.poller.get_map())) == (1, {})


def test_gives_a_request_no_more_time_because_more_of_it_comes(unstarted, clock, arriving_at):
    conn, theirs = arriving_at()
    clock.now += ARRIVAL_SECONDS / 2
    theirs.send(b"TP/1.1\r\n")
    unstarted._on_more(conn, conn.sock)
    clock.now += ARRIVAL_SECONDS / 2 + 0.001
    unstarted.murder_pending()
    assert heard(theirs).startswith(b"HTTP/1.1 408 ")


def test_serves_a_request_once_it_is_there(unstarted, served, arriving_at):
    conn, theirs = arriving_at()
    assert served == []
    theirs.send(GET[8:])
    unstarted._on_more(conn, conn.sock)
    assert (served, unstarted._arriving, dict(unstarted.poller.get_map())) == ([conn], {}, {})


def test_asks_the_kernel_for_all_of_a_request_and_for_any_of_the_next(unstarted, served, arriving_at):
    conn, theirs = arriving_at(sent=POST + b"12")
    wanted = [conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)]
    theirs.send(b"345")
    unstarted._on_more(conn, conn.sock)
    wanted.append(conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT))
    assert (wanted, served) == ([len(POST) + 5, 1], [conn])


def test_waits_for_the_next_request_on_a_connection_like_for_the_first(unstarted, served, connect):
    conn, theirs = connect(POST + b"12345")
    unstarted.enqueue_req(conn)
    assert (served, len(conn.sock.recv(1024))) == ([conn], len(POST) + 5)
    theirs.send(GET[:8])
    unstarted.enqueue_req(conn)
    assert (served, list(unstarted._arriving)) == ([conn], [conn])


def test_refuses_a_head_that_is_too_large_and_no_body_for_it(unstarted, arriving_at):
    _, sender = arriving_at(sent=GET[:-2] + b"X: %s" % (b"x" * MAX_HEAD_BYTES))
    assert heard(sender).startswith(b"HTTP/1.1 431 ")
    _, sender = arriving_at(sent=POST.replace(b"5", b"65536") + b"x" * 65535)
    assert heard(sender) is None
    assert (len(unstarted._arriving), unstarted.nr_conns) == (1, 1)


@pytest.mark.parametrize("data", [REFRESH, GET], ids=["refresh", "another request"])
@pytest.mark.parametrize("has_time", [True, False])
def test_serves_a_refresh_where_it_accepts_if_it_has_time(unstarted, served, connect, monkeypatch, data, has_time):
    here, finished = [], []
    monkeypatch.setattr(unstarted, "_may_serve_here", lambda: has_time)
    monkeypatch.setattr("config.worker.ThreadWorker.handle", lambda _, conn: here.append(conn))
    monkeypatch.setattr(unstarted, "finish_request", lambda conn, done: finished.append((conn, done.result())))
    conn, _ = connect(data)
    unstarted.enqueue_req(conn)
    is_here = has_time and data == REFRESH
    assert (here, finished, served) == (([conn], [(conn, None)], []) if is_here else ([], [], [conn]))


def test_has_the_application_say_that_a_body_did_not_arrive(unstarted, clock, served, arriving_at):
    conn, theirs = arriving_at(sent=POST)
    clock.now += ARRIVAL_SECONDS + 0.001
    unstarted.murder_pending()
    assert (served, heard(theirs), unstarted.nr_conns) == ([conn], None, 1)


def test_stops_without_those_who_have_sent_nothing(unstarted, arriving_at):
    (_, silent), (begun, sender) = arriving_at(sent=b""), arriving_at()
    unstarted.murder_pending()
    assert len(unstarted._arriving) == 2
    unstarted.alive = False
    unstarted.murder_pending()
    assert (list(unstarted._arriving), unstarted.nr_conns) == ([begun], 1)
    assert (heard(silent), heard(sender)) == (b"", None)


@pytest.mark.parametrize("waiting", ["arriving_at", "departing_at"])
def test_lets_go_where_most_wait_and_of_nobody_else(unstarted, arriving_at, monkeypatch, request, waiting):
    monkeypatch.setattr(worker, "MAX_WAITING", 3)
    wait_at = request.getfixturevalue(waiting)
    _, elsewhere = arriving_at("192.0.2.1")
    crowd = [wait_at("192.0.2.2")[1] for _ in range(3)]
    assert heard(elsewhere) is None
    assert (heard(crowd[0]) or b"")[:12] == (b"HTTP/1.1 408" if waiting == "arriving_at" else b"")
    assert (len(unstarted._arriving) + len(unstarted._departing), unstarted.nr_conns) == (3, 3)


def test_is_done_when_the_client_has_taken_the_answer(unstarted, departing_at):
    conn, theirs = departing_at()
    unstarted._on_room(conn, conn.sock)
    assert (heard(theirs), heard(theirs)) == (b"an answer", b"")
    assert (unstarted._departing, unstarted.nr_conns) == ({}, 0)


def test_is_done_when_the_client_has_gone_without_it(unstarted, departing_at):
    conn, theirs = departing_at()
    theirs.close()
    unstarted._on_room(conn, conn.sock)
    assert (unstarted._departing, unstarted.nr_conns, dict(unstarted.poller.get_map())) == ({}, 0, {})


@pytest.mark.parametrize(("is_kept", "is_read"), [(True, True), (True, False), (False, True), (False, False)])
def test_keeps_a_connection_whose_answer_says_so_if_the_body_was_read(unstarted, connect, is_kept, is_read):
    conn, _ = connect()
    conn.parser = SimpleNamespace(finish_body=lambda **limits: is_read)
    assert unstarted._keepalive_after(conn, is_kept) is (is_kept and is_read)


def test_hangs_up_when_the_client_has(unstarted, connect):
    conn, theirs = connect()
    unstarted.linger(conn.sock)
    assert heard(theirs) == b""
    theirs.send(b"more")
    for _ in range(2):
        unstarted._drain(conn.sock)
        assert conn.sock.fileno() != -1
    theirs.close()
    unstarted._drain(conn.sock)
    assert (conn.sock.fileno(), unstarted._lingering, dict(unstarted.poller.get_map())) == (-1, {}, {})


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_accepts_nobody_while_the_system_has_no_room(unstarted, clock, number):
    def accept():
        raise OSError(number, "no room")

    unstarted.worker_connections = 10
    assert not unstarted.accept(SimpleNamespace(accept=accept))
    assert (unstarted.worker_connections, unstarted.nr_conns) == (0, 0)
    clock.now += FULL_SECONDS
    assert unstarted.worker_connections == 10


def test_fails_where_it_cannot_accept_at_all(unstarted):
    def accept():
        raise OSError(errno.EBADF, "no listener")

    with pytest.raises(OSError, match="no listener"):
        unstarted.accept(SimpleNamespace(accept=accept))


def test_has_places_besides_those_of_clients_that_it_waits_for(unstarted, arriving_at, departing_at):
    unstarted.worker_connections, unstarted.max_keepalived = 2, 5
    arriving_at()
    departing_at()
    assert (unstarted.worker_connections, unstarted.nr_conns, unstarted.max_keepalived) == (4, 2, 5)
    unstarted.nr_conns = 3
    assert unstarted.max_keepalived == 5
    unstarted.nr_conns = 4
    assert unstarted.max_keepalived == 0
