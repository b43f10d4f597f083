"""gunicorn's threaded worker, made to give a thread nothing that it would have to wait for.

By itself it hands a thread each connection on which something has arrived, so that as many clients as there are
threads, each sending a byte a second, keep everybody else from being served. Here a request waits in the kernel until
the last byte of it is there, and costs a descriptor meanwhile. Three more things that it does not do by itself: let go
of kept connections while others wait for a place, hang up without waiting for the client, and serve those who have
connected when it is told to stop.
"""

import re
import socket
import struct
import time
from contextlib import suppress
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
# Larger heads and bodies are refused by others, who need not have seen them whole.
MAX_HEAD_BYTES = 64 * 1024
FIRST_LOOK_BYTES = 4096

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*(?=\r\n|\Z)")
LAST_CHUNK = re.compile(rb"\r\n0+[ \t]*(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n")
TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def missing(data: bytes) -> int:
    """How many bytes at the least are missing at the end of `data`, which begins with a request, to make that whole.

    None are missing in what will be refused anyway, nor where the client waits for "100 Continue".
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return int(len(data) < MAX_HEAD_BYTES)
    head = data[:end].lower()
    if b"\r\nexpect:" in head:
        return 0
    if b"\r\ntransfer-encoding:" in head:
        return int(LAST_CHUNK.search(data, end + 2) is None and len(data) - end < settings.MAX_BODY_BYTES)
    match = CONTENT_LENGTH.search(head)
    length = int(match[1]) if match else 0
    return max(0, length - (len(data) - end - 4)) if length <= settings.MAX_BODY_BYTES else 0


class Connection(TConn):
    """A connection that knows how much of its request has arrived."""

    def __init__(self, worker: "Worker", *args: Any) -> None:
        super().__init__(*args)
        self.worker = worker
        # What the kernel wakes us for, and whether the head, or anything at all, has arrived.
        self.mark, self.has_head, self.has_begun = 1, False, False

    def missing(self) -> int:
        """How many bytes are missing; none if the client has hung up or there is nothing to be known of it."""
        held = self.parser.unreader.buf.getvalue() if self.parser is not None else b""
        try:
            seen = self._look(FIRST_LOOK_BYTES)
            if len(seen) == FIRST_LOOK_BYTES:
                seen = self._look(MAX_HEAD_BYTES + settings.MAX_BODY_BYTES)
        except BlockingIOError:
            seen = b""
        except OSError:
            return 0
        else:
            if len(seen) < self.mark:
                return 0
        data = held + seen
        self.has_begun, self.has_head = bool(data), b"\r\n\r\n" in data
        number = missing(data)
        self.mark = len(seen) + number
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

    def _look(self, size: int) -> bytes:
        return bytes(self.sock.recv(size, socket.MSG_PEEK | socket.MSG_DONTWAIT))


class Worker(ThreadWorker):
    """See above. All methods run in the thread that accepts, none of which waits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._arriving: dict[Connection, float] = {}
        self._lingering: dict[socket.socket, float] = {}
        super().__init__(*args, **kwargs)

    @property
    def worker_connections(self) -> int:
        """How many connections there may be."""
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
        self.nr_conns += 1
        self.enqueue_req(Connection(self, self.cfg, client, address, listener.getsockname()))
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
        number = conn.missing() if conn.sock.family != socket.AF_UNIX else 0
        if number:
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
        try:
            client.shutdown(socket.SHUT_WR)
            client.setblocking(False)
            self.poller.register(client, EVENT_READ, self._drain)
        except (OSError, ValueError):
            util.close(client)
        else:
            self._lingering[client] = time.monotonic() + LINGER_SECONDS

    def _on_more(self, conn: Connection, client: socket.socket) -> None:
        self.poller.unregister(client)
        self.enqueue_req(conn)

    def _serve(self, conn: Connection) -> None:
        if self._arriving.pop(conn, None) is not None:
            with suppress(OSError):
                conn.wake_at(1)
        conn.mark, conn.data_ready = 1, True
        super().enqueue_req(conn)

    def _let_go(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        if conn.has_head:
            # The application says in its own words that the body did not arrive; it is not to wait for it.
            with suppress(OSError):
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 1000))
            self._serve(conn)
            return
        del self._arriving[conn]
        self.nr_conns -= 1
        if conn.has_begun:
            with suppress(OSError):
                conn.sock.send(TIMEOUT)
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
        del self._lingering[client]
        with suppress(KeyError, ValueError):
            self.poller.unregister(client)
        util.close(client)
