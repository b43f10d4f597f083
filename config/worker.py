"""gunicorn's threaded worker, made to give a thread nothing that it would have to wait for.

By itself it hands a thread each connection on which something has arrived, and has it wait until the client has taken
the answer, so that as many clients as there are threads, each sending or reading a byte a second, keep everybody else
from being served. Here a request waits in the kernel until the last byte of it is there, the rest of an answer waits
until there is room for it, and either costs no thread meanwhile. What needs no thread at all, a refresh, is given
none: threads that compute at the same time only take turns. Four more things that it does not do by itself: leave
connections to a worker that has few, let go of kept ones while others wait for a place, hang up without waiting for the
client, and serve those who have connected when it is told to stop.
"""

import errno
import math
import socket
import struct
import time
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from django.conf import settings
from gunicorn import util
from gunicorn.http.errors import ConfigurationProblem, ParseException
from gunicorn.workers.gthread import ThreadWorker

from config import balance
from config.arriving import Walk
from config.connection import FIRST_LOOK_BYTES, Client, Connection

# How long a request may take to arrive, from its first byte to its last.
ARRIVAL_SECONDS = 20
# How long a client may take for what is left of an answer.
DEPARTURE_SECONDS = 60
# How long a client that was told of the end may take to hang up.
LINGER_SECONDS = 2
# How many connections may wait for the rest of their request, or of an answer, besides those that are served.
MAX_WAITING = 512
# How much of all answers is kept for clients that take their time to read, and how many may take it to hang up.
MAX_UNTAKEN_BYTES = 16 * 1024 * 1024
MAX_LINGERING = 128
# How long nobody is accepted when the system has no room for one more.
FULL_SECONDS = 0.5
# For how long a connection is left to a worker that has less than half as many.
LEAVE_SECONDS = 0.001
# How long a thread may spend on what the application has left of a body.
DRAIN_SECONDS = 0.1
# For how long at a time requests are served where connections are accepted, and for how long none are after one that
# took longer by itself, as a refusal may while the cache that counts it is away.
TURN_SECONDS = 0.05
PAUSE_SECONDS = 10

RECEIVE_PATIENCE = socket.SOL_SOCKET, socket.SO_RCVTIMEO
TIMEVAL_BYTES = struct.calcsize("ll")
FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Worker(ThreadWorker):
    """See above. What has no other note runs in the thread that accepts, and does not wait.

    A connection is *arriving* while something of its request is missing (`enqueue_req`), then served, by a thread or at
    once (`_serve`), then *departing* while something of the answer is left (`finish_request`). gunicorn keeps it for
    the next request, or it is *lingering* until the client has hung up as well (`linger`). Those that arrive or depart
    hold no place (`worker_connections`): gunicorn would cease to accept for them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._arriving: dict[Connection, float] = {}
        self._departing: dict[Connection, tuple[float, Future[Any]]] = {}
        self._lingering: dict[socket.socket, float] = {}
        self._full_until = self._left_until = self._pause_until = self._turn_ends = 0.0
        self._is_serving = False
        super().__init__(*args, **kwargs)

    @property
    def worker_connections(self) -> int:
        """How many connections there may be; none more while the system has no room for one."""
        if time.monotonic() < self._full_until:
            return 0
        return self._places + len(self._arriving) + len(self._departing)

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
        """Take the next connection. Returns whether there was one, and this worker was the one to take it."""
        if self._leaves_it():
            self._left_until = time.monotonic() + LEAVE_SECONDS
            super().set_accept_enabled(False)
            return False
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
        self._left_until = 0.0
        self._tell()
        is_watched = not self.cfg.is_ssl and client.family != socket.AF_UNIX
        if is_watched:
            # A thread finds in the kernel what it is given, and waits for nothing else.
            client.setblocking(False)
        else:
            # A Unix socket does not have from its listener how long a thread waits for it.
            patience = listener.getsockopt(*RECEIVE_PATIENCE, TIMEVAL_BYTES)
            client.setsockopt(*RECEIVE_PATIENCE, patience)
        if not self.cfg.is_ssl:
            client = Client(client)
        conn = Connection(self, self.cfg, client, address, listener.getsockname())
        conn.is_watched = is_watched
        self.enqueue_req(conn)
        return True

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or cease to accept. Who stops for good takes first those who have connected, and then nobody else."""
        if enabled and time.monotonic() < self._left_until:
            return
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                listener.setblocking(False)
                while self.nr_conns < self.worker_connections + MAX_WAITING and self.accept(listener):
                    pass
                listener.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Do what is to be done next."""
        self._turn_ends = math.inf
        self._tell()
        if (left := self._left_until - time.monotonic()) > 0:
            timeout = min(timeout, left)
        super().wait_for_and_dispatch_events(timeout)

    def enqueue_req(self, conn: Connection) -> None:
        """Serve the next request of `conn`, once it is there."""
        number = conn.missing() if conn.is_watched else 0
        if number and conn.is_too_long:
            self._refuse(conn, TOO_LARGE)
        elif number:
            conn.wake_at(conn.mark)
            self._arriving.setdefault(conn, time.monotonic() + ARRIVAL_SECONDS)
            self.poller.register(conn.sock, EVENT_READ, partial(self._on_more, conn))
            self._make_room()
        else:
            self._serve(conn)

    def finish_request(self, conn: Connection, fs: Future[Any]) -> None:
        """Keep or close `conn`, once the client has taken the answer."""
        if not conn.unsent:
            super().finish_request(conn, fs)
            return
        self._departing[conn] = time.monotonic() + DEPARTURE_SECONDS, fs
        self.poller.register(conn.sock, EVENT_WRITE, partial(self._on_room, conn))
        while sum(one.unsent for one in self._departing) > MAX_UNTAKEN_BYTES:
            self._cut_off(next(iter(self._departing)))
        self._make_room()

    def murder_pending(self) -> None:
        """Let go of those whose time is over, and of those that have sent nothing when the worker stops."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, end in self._arriving.items() if end < now or not (self.alive or conn.has_begun)]:
            self._let_go(conn)
        for conn in [conn for conn, (end, _) in self._departing.items() if end < now]:
            self._cut_off(conn)
        for client in [client for client, end in self._lingering.items() if end < now]:
            self._hang_up(client)

    def linger(self, client: socket.socket) -> None:
        """Tell `client` that nothing more will come, and hang up when it has (RFC 9112, section 9.6)."""
        if len(self._lingering) >= MAX_LINGERING:
            self._hang_up(next(iter(self._lingering)))
        try:
            client.shutdown(socket.SHUT_WR)
            self.poller.register(client, EVENT_READ, self._drain)
        except (OSError, ValueError):
            util.close(client)
        else:
            self._lingering[client] = time.monotonic() + LINGER_SECONDS

    def handle(self, conn: Connection) -> Any:
        """Serve a request. Runs in a thread, or in the one that accepts."""
        try:
            return super().handle(conn)
        finally:
            conn.end_answer()

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Answer a request. Who waited to be asked for the body was asked, or is refused without it."""
        if conn.is_watched:
            req._expected_100_continue = False  # noqa: SLF001 — gunicorn has no other way to keep it from asking again
        if getattr(req.body.reader, "length", 0) > settings.MAX_BODY_BYTES:
            # Nobody reads so much to its end: the connection cannot be kept, and the answer says so.
            req.force_close()
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer a request that makes no sense. One for a path that does not begin with `SCRIPT_NAME` finds nothing."""
        if isinstance(exc, ConfigurationProblem):
            with suppress(OSError):
                util.write_error(client, 404, "Not Found", "")
        else:
            super().handle_error(req, client, addr, exc)

    def _tell(self) -> None:
        balance.tell(self.age, self.nr_conns if self.alive else balance.ABSENT)

    def _leaves_it(self) -> bool:
        """Whether the next connection is for a worker that has less than half as many, and had no moment to take it."""
        had_its_moment = time.monotonic() < self._left_until + LEAVE_SECONDS
        return self.alive and not had_its_moment and self.nr_conns > 2 * (balance.fewest() + 1)

    def _on_more(self, conn: Connection, client: socket.socket) -> None:
        if conn not in self._arriving:  # let go since the kernel told of it
            return
        self.poller.unregister(client)
        self.enqueue_req(conn)

    def _on_room(self, conn: Connection, client: Client) -> None:
        if conn not in self._departing:  # cut off since the kernel told of it
            return
        try:
            client.push()
        except OSError:
            self._cut_off(conn)
        else:
            if not client.unsent:
                self.poller.unregister(client)
                _, done = self._departing.pop(conn)
                super().finish_request(conn, done)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        conn.end_answer()
        deadline, most = time.monotonic() + DRAIN_SECONDS, settings.MAX_BODY_BYTES + 1
        try:
            return keepalive and bool(conn.parser.finish_body(deadline=deadline, max_bytes=most))
        except (BlockingIOError, ParseException):
            # What was left of the body did not arrive, or makes no sense. The request has its answer.
            return False

    def _serve(self, conn: Connection) -> None:
        if self._arriving.pop(conn, None) is not None:
            with suppress(OSError):
                conn.wake_at(1)
        if conn.is_watched:
            conn.mark, conn.walk, conn.is_invited, conn.data_ready = 1, Walk(), False, True
        if conn.is_brief and self._may_serve_here():
            self._serve_here(conn)
        else:
            super().enqueue_req(conn)

    def _may_serve_here(self) -> bool:
        """Whether a refresh finds all that it asks for in memory, and the thread that accepts has time for it."""
        from edi_auth.revocations import snapshot  # noqa: PLC0415 — not before the application is loaded

        has_time = self._pause_until <= time.monotonic() < self._turn_ends
        return has_time and not self._is_serving and snapshot.age() is not None

    def _serve_here(self, conn: Connection) -> None:
        begun = time.monotonic()
        self._turn_ends = min(self._turn_ends, begun + TURN_SECONDS)
        done: Future[Any] = Future()
        self._is_serving = True
        try:
            done.set_result(self.handle(conn))
            self.finish_request(conn, done)
        finally:
            self._is_serving = False
        if time.monotonic() - begun > TURN_SECONDS:
            self._pause_until = time.monotonic() + PAUSE_SECONDS

    def _make_room(self) -> None:
        """While too many wait, let go of one at the address that has most of them: who has been sending for longest."""
        while len(self._arriving) + len(self._departing) > MAX_WAITING:
            waiting = [*self._arriving, *self._departing]
            ((most, _),) = Counter(conn.place for conn in waiting).most_common(1)
            conn = next(conn for conn in waiting if conn.place == most)
            if conn in self._departing:
                self._cut_off(conn)
            else:
                self.poller.unregister(conn.sock)
                self._refuse(conn, TIMEOUT)

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

    def _cut_off(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        del self._departing[conn]
        self.nr_conns -= 1
        conn.close()

    def _drain(self, client: socket.socket) -> None:
        try:
            is_over = not client.recv(FIRST_LOOK_BYTES, socket.MSG_DONTWAIT)
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
