"""gunicorn's threaded worker, made to give a thread nothing that it would have to wait for.

By itself it hands a thread each connection on which something has arrived, so that as many clients as there are
threads, each sending a byte a second, keep everybody else from being served. Here a request waits in the kernel until
the last byte of it is there, and costs a descriptor meanwhile. Three more things that it does not do by itself: let go
of kept connections while others wait for a place, hang up without waiting for the client, and serve those who have
connected when it is told to stop.
"""

import errno
import re
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from selectors import EVENT_READ
from typing import Any

from django.conf import settings
from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

# How long a request may take to arrive, from its first byte to its last.
ARRIVAL_SECONDS = 20
# How long a client that was told of the end may take to hang up.
LINGER_SECONDS = 2
# How many connections may wait for the rest of their request, besides those that are served.
MAX_ARRIVING = 512
# How many clients may take their time to hang up.
MAX_LINGERING = 128
# How long nobody is accepted when the system has no room for one more.
FULL_SECONDS = 0.5
# How long a thread may spend on what the application has left of a body.
DRAIN_SECONDS = 0.1
# No head is waited for that has become larger than this. Too large a body is refused by the application.
MAX_HEAD_BYTES = 64 * 1024
FIRST_LOOK_BYTES = 4096

# Chunks have sizes and line ends of their own besides what is in them.
MAX_CHUNKED_BYTES = 2 * settings.MAX_BODY_BYTES

# A thread finds in the kernel what it is given; with this (struct timeval) it waits for nothing else.
NO_WAIT = struct.pack("ll", 0, 1000)
FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r\n]*)")
LENGTH = re.compile(rb"0*([0-9]{1,9})[ \t]*")
EXPECTS_CONTINUE = re.compile(
    rb"[^\r\n]* HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*?Expect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE
)
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[^\r\n]*)?")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Walk:
    """Where in a chunked body the first chunk begins that is not whole, and how many bytes are in those before it."""

    at: int = 0
    length: int = 0


def missing(data: bytes, walk: Walk | None = None) -> int:
    """How many bytes at the least are missing at the end of `data`, which begins with a request, to make that whole.

    None are missing in what will be refused anyway. Whoever asks again when more of the same request is there hands
    over the same `walk`, so that no chunk is looked at twice.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 1
    fields = dict(FRAMING.findall(data[:end].lower()))
    if not fields or (b"expect" in fields and fields[b"expect"].rstrip() != b"100-continue"):
        return 0
    here = len(data) - end - 4
    if b"transfer-encoding" in fields:
        walk = walk or Walk()
        walk.at = walk.at or end + 4
        return missing_of_chunks(data, walk) if here < MAX_CHUNKED_BYTES else 0
    match = LENGTH.fullmatch(fields.get(b"content-length", b""))
    length = int(match[1]) if match else 0
    return max(0, length - here) if length <= settings.MAX_BODY_BYTES else 0


def missing_of_chunks(data: bytes, walk: Walk) -> int:
    """How many bytes at the least are missing at the end of `data` to make the chunks from `walk` on whole.

    Goes by the sizes of the chunks (RFC 9112, section 7.1), to the first byte that makes the body too large.
    """
    while (line := data.find(b"\r\n", walk.at)) >= 0:
        match = CHUNK_SIZE.fullmatch(data, walk.at, line)
        if not match:
            return 0
        size, begin = int(match[1], 16), line + 2
        if not size:
            return int(not data.startswith(b"\r\n", begin) and data.find(b"\r\n\r\n", begin) < 0)
        room = settings.MAX_BODY_BYTES - walk.length
        if size > room:
            return max(0, begin + room + 1 - len(data))
        end = begin + size + 2
        if end > len(data):
            return end - len(data)
        walk.at, walk.length = end, walk.length + size
    return 1


class Connection(TConn):
    """A connection that knows how much of its request has arrived."""

    def __init__(self, worker: "Worker", *args: Any) -> None:
        super().__init__(*args)
        self.worker = worker
        # What the kernel wakes us for, and whether the head, or anything at all, has arrived.
        self.mark, self.has_head, self.has_begun = 1, False, False
        self.walk, self.is_invited = Walk(), False
        # Of a TLS connection nothing is to be known, and those on a Unix socket are proxies, which are not slow.
        self.is_watched = not self.cfg.is_ssl and self.sock.family != socket.AF_UNIX

    def missing(self) -> int:
        """How many bytes are missing; none if the client has hung up or there is nothing to be known of it."""
        held = self.parser.unreader.buf.getvalue() if self.parser is not None else b""
        try:
            seen = self._look(FIRST_LOOK_BYTES)
            if len(seen) == FIRST_LOOK_BYTES:
                seen = self._look(MAX_HEAD_BYTES + MAX_CHUNKED_BYTES)
        except BlockingIOError:
            seen = b""
        except OSError:
            return 0
        else:
            if len(seen) < self.mark:
                return 0
        data = held + seen if held else seen
        number = missing(data, self.walk)
        self.mark = len(seen) + number
        if number:
            self.has_begun, self.has_head = bool(data), b"\r\n\r\n" in data
            if self.has_head and not self.is_invited:
                self._invite(data)
        return number

    def wake_at(self, number: int) -> None:
        """Have the connection count as readable once so many bytes are there."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, number)

    def close(self, graceful: bool = False) -> None:
        """Hang up, after the client has if `graceful`."""
        if graceful:
            self.worker.linger(self.sock)
        else:
            super().close()

    def _invite(self, data: bytes) -> None:
        """Ask for the body if the client waits for that (RFC 9110, section 10.1.1)."""
        self.is_invited = True
        if EXPECTS_CONTINUE.match(data):
            with suppress(OSError):
                self.sock.send(CONTINUE, socket.MSG_DONTWAIT)

    def _look(self, size: int) -> bytes:
        return bytes(self.sock.recv(size, socket.MSG_PEEK | socket.MSG_DONTWAIT))


class Worker(ThreadWorker):
    """See above. What has no other note runs in the thread that accepts, and does not wait."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._arriving: dict[Connection, float] = {}
        self._lingering: dict[socket.socket, float] = {}
        self._full_until = 0.0
        super().__init__(*args, **kwargs)

    @property
    def worker_connections(self) -> int:
        """How many connections there may be; none more while the system has no room for one."""
        if time.monotonic() < self._full_until:
            return 0
        return self._places + min(len(self._arriving), MAX_ARRIVING)

    @worker_connections.setter
    def worker_connections(self, number: int) -> None:
        """What the configuration says."""
        self._places = number

    @property
    def max_keepalived(self) -> int:
        """How many connections may be kept: none while all places are taken, or others would never get one."""
        return 0 if self.nr_conns >= self.worker_connections else self._kept

    @max_keepalived.setter
    def max_keepalived(self, number: int) -> None:
        """What the configuration says."""
        self._kept = number

    def accept(self, listener: socket.socket) -> bool:
        """Take the next connection. Returns whether there was one."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as exc:
            if exc.errno not in FULL:
                raise
            self._full_until = time.monotonic() + FULL_SECONDS
            return False
        self.nr_conns += 1
        conn = Connection(self, self.cfg, client, address, listener.getsockname())
        patience = NO_WAIT
        if not conn.is_watched:
            # An accepted Unix socket does not have it from its listener.
            patience = listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, len(NO_WAIT))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        self.enqueue_req(conn)
        return True

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or cease to accept. Who stops for good takes first those who have connected, and then nobody else."""
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                listener.setblocking(False)
                while self.nr_conns < self.worker_connections + MAX_ARRIVING and self.accept(listener):
                    pass
                listener.close()

    def enqueue_req(self, conn: Connection) -> None:
        """Have a thread serve the next request of `conn`, once it is there."""
        number = conn.missing() if conn.is_watched else 0
        if number and not conn.has_head and conn.mark > MAX_HEAD_BYTES:
            self._refuse(conn, TOO_LARGE)
        elif number:
            conn.sock.setblocking(False)
            conn.wake_at(conn.mark)
            self._arriving.setdefault(conn, time.monotonic() + ARRIVAL_SECONDS)
            self.poller.register(conn.sock, EVENT_READ, partial(self._on_more, conn))
        else:
            self._serve(conn)

    def murder_pending(self) -> None:
        """Let go of those whose time is over, and of those that have sent nothing when the worker stops."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, end in self._arriving.items() if end < now or not (self.alive or conn.has_begun)]:
            self._let_go(conn)
        for client in [client for client, end in self._lingering.items() if end < now]:
            self._hang_up(client)

    def linger(self, client: socket.socket) -> None:
        """Tell `client` that nothing more will come, and hang up when it has (RFC 9112, section 9.6)."""
        if len(self._lingering) >= MAX_LINGERING:
            self._hang_up(next(iter(self._lingering)))
        try:
            client.shutdown(socket.SHUT_WR)
            client.setblocking(False)
            self.poller.register(client, EVENT_READ, self._drain)
        except (OSError, ValueError):
            util.close(client)
        else:
            self._lingering[client] = time.monotonic() + LINGER_SECONDS

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Serve a request, in a thread. Who waited to be asked for the body was asked, or is refused without it."""
        if conn.is_watched:
            req._expected_100_continue = False  # noqa: SLF001 — gunicorn has no other way to keep it from asking again
        return super().handle_request(req, conn)

    def _on_more(self, conn: Connection, client: socket.socket) -> None:
        self.poller.unregister(client)
        self.enqueue_req(conn)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + DRAIN_SECONDS))

    def _serve(self, conn: Connection) -> None:
        if self._arriving.pop(conn, None) is not None:
            with suppress(OSError):
                conn.wake_at(1)
        if conn.is_watched:
            conn.mark, conn.walk, conn.is_invited, conn.data_ready = 1, Walk(), False, True
        super().enqueue_req(conn)

    def _let_go(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        if conn.has_head:
            # The application says in its own words that the body did not arrive.
            self._serve(conn)
        else:
            self._refuse(conn, TIMEOUT)

    def _refuse(self, conn: Connection, answer: bytes) -> None:
        self._arriving.pop(conn, None)
        self.nr_conns -= 1
        if conn.has_begun:
            with suppress(OSError):
                conn.sock.send(answer, socket.MSG_DONTWAIT)
        conn.close(graceful=conn.has_begun)

    def _drain(self, client: socket.socket) -> None:
        try:
            is_over = not client.recv(FIRST_LOOK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            is_over = True
        if is_over:
            self._hang_up(client)

    def _hang_up(self, client: socket.socket) -> None:
        if self._lingering.pop(client, None) is None:
            return
        with suppress(KeyError, ValueError):
            self.poller.unregister(client)
        util.close(client)
