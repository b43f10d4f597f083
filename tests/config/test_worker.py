"""What is missing of a request; what comes of it on the wire is in `tests/faults/test_load.py`."""

import math
import os
import socket
import time
from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest

from config import arriving, worker
from config.arriving import MAX_CHUNKED_BYTES, Walk, missing
from config.worker import MAX_LINGERING, PAUSE_SECONDS, TURN_SECONDS
from edi_auth.revocations import snapshot

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
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
