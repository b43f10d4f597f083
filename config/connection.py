"""A connection to gunicorn's worker: nobody waits for a request to arrive, nor for an answer to be taken."""

import errno
import re
import select
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn

from config.arriving import MAX_CHUNKED_BYTES, Walk, missing
from tokens.core.addresses import address_of
from tokens.core.throttling import counted_as

if TYPE_CHECKING:
    from config.worker import Worker

# No head is waited for that has become larger than this. Too large a body is refused by the application.
MAX_HEAD_BYTES = 64 * 1024
# Of a request that is waited for there is never more than this to be seen.
MAX_BYTES = MAX_HEAD_BYTES + MAX_CHUNKED_BYTES
FIRST_LOOK_BYTES = 4096
# How much of an answer is kept for a client, besides what the kernel keeps: more than the largest static file.
MAX_UNSENT_BYTES = 4 * 1024 * 1024
# How long a thread waits for a client that takes nothing of an answer larger than that.
ROOM_SECONDS = 10
# How long a thread waits for a client of TLS that neither sends nor takes anything.
TLS_SECONDS = 10

# One that is not small could have an answer that is not.
MAX_BRIEF_BYTES = 8 * 1024

EXPECTS_CONTINUE = re.compile(
    rb"[^\r\n]* HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*?Expect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def brief_below(prefix: str) -> re.Pattern[bytes]:
    """How a refresh begins, which asks memory alone and waits for nothing, where all paths begin with `prefix`."""
    return re.compile(b"POST " + re.escape(prefix.encode()) + rb"/auth/v1/token/refresh[ ?]")


BRIEF = brief_below(settings.SCRIPT_NAME)


class Client(socket.socket):
    """The socket of a client. What it does not take of an answer at once is kept for it, up to `MAX_UNSENT_BYTES`."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._unsent = bytearray()
        self._has_begun = False

    @property
    def unsent(self) -> int:
        """How many bytes are left of an answer."""
        return len(self._unsent)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Take the head of an answer, or what comes after it, with which the head is sent. Raises `OSError`."""
        is_head, self._has_begun = not self._has_begun, True
        self._unsent += data
        if not is_head:
            self.push()
        while len(self._unsent) > MAX_UNSENT_BYTES:
            self._wait_for_room()
            self.push()

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Take `count` bytes of `file` from `offset` on. Returns how many there were. Raises `OSError`."""
        file.seek(offset)
        data = file.read(-1 if count is None else count)
        self.sendall(data)
        return len(data)

    def push(self) -> None:
        """Send what the client takes now. Raises `OSError` when it has gone."""
        if self._unsent:
            with suppress(BlockingIOError):
                del self._unsent[: self.send(self._unsent, socket.MSG_DONTWAIT)]

    def end_answer(self) -> None:
        """Send what there is: nothing will follow. A client that has gone is noticed when its connection is used."""
        self._has_begun = False
        with suppress(OSError):
            self.push()

    def close(self) -> None:
        """Hang up, whatever is left of an answer."""
        self._unsent.clear()
        super().close()

    def setblocking(self, flag: bool) -> None:
        """Change nothing: gunicorn says when to wait, and here nothing waits."""

    def settimeout(self, value: float | None) -> None:
        """Change nothing, likewise."""

    def _wait_for_room(self) -> None:
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        if not poll.poll(ROOM_SECONDS * 1000):
            raise ConnectionResetError(errno.ECONNRESET, "The client does not read.")


class TLSClient(ssl.SSLSocket):
    """The socket of a client of TLS, for which a thread waits. Python would wait on when the kernel's time is over."""

    def settimeout(self, value: float | None) -> None:
        """Wait for so many seconds, and never for ever."""
        super().settimeout(TLS_SECONDS if value is None else value)

    def setblocking(self, flag: bool) -> None:
        """Wait, or do not."""
        self.settimeout(None if flag else 0.0)


class Connection(TConn):
    """A connection that knows how much of its request has arrived."""

    def __init__(self, worker: "Worker", *args: Any) -> None:
        super().__init__(*args)
        self.worker = worker
        # What counts as one client; of those at a Unix socket nothing is known.
        self.place = counted_as(address_of(self.client[0]) or "") if isinstance(self.client, tuple) else ""
        # What the kernel wakes us for, and whether the head, or anything at all, has arrived.
        self.mark, self.has_head, self.has_begun = 1, False, False
        # Whether there is more of it than a head may have, and no end.
        self.is_too_long = False
        self.walk, self.is_invited = Walk(), False
        # Whether the request that has arrived is one of those that wait for nothing.
        self.is_brief = False
        # Whether anything is known of that: nothing of TLS, nor of Unix sockets, which are of proxies.
        self.is_watched = True

    @property
    def unsent(self) -> int:
        """How many bytes are left of an answer; of TLS, for which a thread waits, none."""
        return self.sock.unsent if isinstance(self.sock, Client) else 0

    def end_answer(self) -> None:
        """Send what there is of an answer."""
        if isinstance(self.sock, Client):
            self.sock.end_answer()

    def missing(self) -> int:
        """How many bytes are missing; none if the client has hung up or there is nothing to be known of it."""
        self.is_brief = False
        try:
            seen = self._look(FIRST_LOOK_BYTES)
            if len(seen) == FIRST_LOOK_BYTES:
                seen = self._look(MAX_BYTES)
            if len(seen) < self.mark:
                # The client has hung up, or the kernel has no room for more of what comes in many small pieces.
                if not self._take():
                    return 0
                seen = b""
        except BlockingIOError:
            seen = b""
        except OSError:
            return 0
        held = self.parser.unreader.buf.getvalue() if self.parser is not None else b""
        data = held + seen if held else seen
        number = missing(data, self.walk)
        self.mark = len(seen) + number
        if number:
            self.has_begun, self.has_head = bool(data), b"\r\n\r\n" in data
            self.is_too_long = not self.has_head and len(data) >= MAX_HEAD_BYTES
            if self.has_head and not self.is_invited:
                self._invite(data)
        else:
            self.is_brief = len(data) <= MAX_BRIEF_BYTES and BRIEF.match(data) is not None
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

    def _take(self) -> bool:
        """Take from the kernel what has arrived. Returns whether anything has; nothing follows if not."""
        taken = self.sock.recv(MAX_BYTES, socket.MSG_DONTWAIT)
        if self.parser is None:
            self.parser: Any = get_parser(self.cfg, self.sock, self.client)
        self.parser.unreader.unread(self.parser.unreader.take_buffered() + taken)
        return bool(taken)

    def _look(self, size: int) -> bytes:
        return bytes(self.sock.recv(size, socket.MSG_PEEK | socket.MSG_DONTWAIT))
