"""The clients: most are busy, some are slow, some say nothing, some do not wait for answers."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.server.registry import Registry

ANSWER_SECONDS = 30
PIPELINED = 10


@dataclass
class Tally:
    """What the clients saw: answers by status, and by kind everything that a client may complain about."""

    answers: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    let_go: int = 0
    is_stopping: bool = False

    def note(self, status: int, seconds: float, *, busy: int = 503) -> None:
        """Count an answer; of a server that limits, or is too busy, 429 and `busy` are as good as any."""
        self.answers[status] += 1
        self.slowest = max(self.slowest, seconds)
        if status not in {200, 201, 429, 503, busy}:
            self.errors[f"status {status}"] += 1


@dataclass
class Reply:
    """One answer, and whether the server said that it would hang up after it."""

    status: int
    body: bytes
    is_last: bool


class Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.served = 0

    async def send(self, data: bytes) -> None:
        """Send, on a new connection where there is none."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self.served = 0
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> Reply:
        """The next answer. Raises `OSError` or `EOFError` when there is none."""
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await self._reader.readexactly(int(lines.get("content-length", 0)))
        self.served += 1
        return Reply(int(head.split(" ", 2)[1]), body, lines.get("connection") == "close")

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def request(method: str, path: str, body: Any = None, **headers: str) -> bytes:
    """A request as it goes over the wire."""
    content = b"" if body is None else json.dumps(body).encode()
    fields = {"Host": "localhost", "Content-Length": str(len(content))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


PING = request("GET", "/auth/v1/ping")
LARGE = request("GET", "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js")


class Crowd:
    """All clients of one server."""

    def __init__(self, made: Registry, tally: Tally, stop: asyncio.Event) -> None:
        self.made, self.tally, self.stop = made, tally, stop
        self._bearer = {"Authorization": f"Bearer {made.bearer}"}
        self._random = random.Random(1)  # noqa: S311 — a load that can be repeated
        self._pair: dict[str, str] = {}
        self._serial = 0

    async def busy(self) -> None:
        """Ask for one thing after the other on a connection that is kept as long as it lasts."""
        connection = Connection(self.made.port)
        verbs = [self._exchange, self._refresh, self._mint, self._introspect, self._create_and_revoke]
        while not self.stop.is_set():
            (verb,) = self._random.choices(verbs, [4, 4, 3, 3, 1])
            await verb(connection)
        connection.close()

    async def slow(self) -> None:
        """Send a byte a second; whoever does that is answered in the end, or let go."""
        await self._rude(self._drip)

    async def silent(self) -> None:
        """Say nothing at all, or half of something, and stay; at last hang up without a word."""
        await self._rude(self._stay)

    async def greedy(self) -> None:
        """Ask for more than the kernel keeps, and read none of it."""
        await self._rude(self._ask_and_stay)

    async def pipelining(self) -> None:
        """Send ten requests at once and count the answers. What comes after an announced end may be lost."""
        while not self.stop.is_set():
            connection = Connection(self.made.port)
            begun = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.send(PING * PIPELINED)
                    for _ in range(PIPELINED):
                        reply = await connection.receive()
                        self.tally.note(reply.status, asyncio.get_running_loop().time() - begun)
                        if reply.is_last:
                            break
            except (OSError, EOFError) as exc:
                self._complain(type(exc).__name__, while_="pipelining: ")
            finally:
                connection.close()
            await asyncio.sleep(0.1)

    async def call(self, connection: Connection, data: bytes, *, busy: int = 503) -> Reply | None:
        """One request; a kept connection that ends before it is answered gets a second chance, as clients do it."""
        loop = asyncio.get_running_loop()
        for _ in range(2):
            begun, was_kept = loop.time(), connection.served > 0
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.send(data)
                    reply = await connection.receive()
            except (OSError, EOFError) as exc:
                connection.close()
                if was_kept and not isinstance(exc, TimeoutError):
                    continue
                self._complain(type(exc).__name__)
                await asyncio.sleep(0.5)
                return None
            self.tally.note(reply.status, loop.time() - begun, busy=busy)
            if reply.is_last:
                connection.close()
            if reply.status in {429, 503, busy}:
                await asyncio.sleep(0.5)
            return reply
        return None

    def _complain(self, what: str, *, while_: str = "") -> None:
        if not (self.tally.is_stopping and what == "ConnectionRefusedError"):
            self.tally.errors[while_ + what] += 1

    async def _exchange(self, connection: Connection) -> None:
        reply = await self.call(connection, request("POST", "/auth/v1/key", {"key": self.made.api_key}))
        if reply is not None and reply.status == 200:
            answer = json.loads(reply.body)
            self._pair = {name: answer[name] for name in ("pasta-token", "edi-token")}

    async def _refresh(self, connection: Connection) -> None:
        if self._pair:
            await self.call(connection, request("POST", "/auth/v1/token/refresh", self._pair))

    async def _mint(self, connection: Connection) -> None:
        # Its document has 500 where the others have 503.
        await self.call(connection, request("GET", "/token", X_PUB_KEY=self.made.public_key), busy=500)

    async def _introspect(self, connection: Connection) -> None:
        body = {"token": self.made.bearer}
        await self.call(connection, request("POST", "/introspect", body, **self._bearer))

    async def _create_and_revoke(self, connection: Connection) -> None:
        self._serial += 1
        body = {"name": f"load-{self._serial}"}
        reply = await self.call(connection, request("POST", "/_/token", body, **self._bearer))
        if reply is not None and reply.status == 201:
            await self.call(connection, request("DELETE", "/_/token", body, **self._bearer))

    async def _rude(self, behave: Callable[[Connection], Awaitable[None]]) -> None:
        while not self.stop.is_set():
            connection = Connection(self.made.port)
            try:
                await behave(connection)
            except (OSError, EOFError):
                self.tally.let_go += 1
                await asyncio.sleep(0.5)
            finally:
                connection.close()

    async def _drip(self, connection: Connection) -> None:
        for byte in PING:
            await connection.send(bytes([byte]))
            await asyncio.sleep(1)
            if self.stop.is_set():
                return
        reply = await connection.receive()
        if reply.status >= 500 and reply.status != 503:
            self.tally.errors[f"slow: status {reply.status}"] += 1

    async def _ask_and_stay(self, connection: Connection) -> None:
        await connection.send(LARGE * PIPELINED)
        await self._wait()

    async def _stay(self, connection: Connection) -> None:
        await connection.send(self._random.choice([b"", PING[:1], PING[:20], PING[:-2]]))
        await self._wait()

    async def _wait(self) -> None:
        for _ in range(15):
            await asyncio.sleep(1)
            if self.stop.is_set():
                return
