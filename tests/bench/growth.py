"""`python -m tests.bench.growth`: what every API route costs with many rows beside what it costs with 10,000.

A registry of each size is served at the same time. Every round sends each route a batch of requests, one slice at a
time to each size, so that whatever else the machine does falls on all. The table has the median over the rounds of the
processor time per request, that of the server and that of its database together, and its ratio to the smallest size.
"""

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.__main__ import machine
from tests.bench.server import ROOT, WORKERS, Server, serving
from tests.postgres import database, postgres
from tests.server import registry
from tests.server.registry import Registry

SIZES = {"sqlite": (10_000, 1_000_000), "postgres": (10_000, 1_000_000, 10_000_000)}
AT_MOST = 1.2
# How many requests a batch has, where each ends something for all that comes later, and where they cost least.
REQUESTS, ENDING, CHEAP = 200, 50, 600
MAX_ROUNDS, SLICES = 5, 10
GROW_SECONDS = 3600
# What one case may use up, in a first round to warm up and in those that count.
SHARE = REQUESTS * (MAX_ROUNDS + 1)


@dataclass(frozen=True)
class Request:
    """One request, and the body that it is sent with as JSON."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """A batch: processor time a request of the server and of PostgreSQL, and how long the client waited."""

    server_ms: float
    database_ms: float
    p50_ms: float

    @property
    def cpu_ms(self) -> float:
        """Both together. (SQLite works inside the server's processes.)"""
        return self.server_ms + self.database_ms


@dataclass
class Grown:
    """A served registry of one size, and what there is to present to it."""

    rows: int
    registry: Registry
    server: Server
    database: str
    presented: dict[str, Any]
    given: dict[str, list[str]] = field(default_factory=dict)

    def latest(self, name: str) -> list[str]:
        """The tokens that the last batch of `name` was answered with."""
        return self.given[name][-REQUESTS:]

    def share(self, name: str, first: int, number: int, count: int = REQUESTS) -> Iterator[Any]:
        """What one batch may use up of `presented[name]`, in the share that begins at `first`."""
        begin = first + number * count
        return iter(self.presented[name][begin : begin + count])

    def spent(self) -> tuple[float, float]:
        """The processor seconds of the server and of the backends of its database until now."""
        pids = [self.server.pid, *self.server.workers()]
        return sum(map(cpu_seconds, pids)), sum(map(cpu_seconds, backends(self.database)))


class Batch:
    """The requests of one route and round to one registry, sent a slice at a time."""

    def __init__(self, grown: Grown, name: str, number: int) -> None:
        self.grown, self.name = grown, name
        self.requests = list(ROUTES[name](grown, number))
        self.times: list[float] = []
        self.server = self.database = 0.0

    def send(self, part: int) -> None:
        """Send the slice `part` of `SLICES`. Raises when an answer is a refusal."""
        begin, end = (len(self.requests) * edge // SLICES for edge in (part, part + 1))
        connection = http.client.HTTPConnection("127.0.0.1", self.grown.server.port, timeout=60)
        server, base = self.grown.spent()
        for request in self.requests[begin:end]:
            self._send(connection, request)
        server_then, base_then = self.grown.spent()
        self.server += server_then - server
        self.database += base_then - base
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, request: Request) -> None:
        body = None if request.body is None else json.dumps(request.body)
        begun = time.perf_counter()
        connection.request(request.method, request.path, body, request.headers)
        response = connection.getresponse()
        content = response.read()
        self.times.append(time.perf_counter() - begun)
        if response.status not in {200, 201}:
            raise RuntimeError(f"{self.name} was answered with {response.status}: {content.decode()[:300]}")
        if self.name in {"token", "mint"}:
            document = json.loads(content)
            token = document.get("token") or document["data"][0]["token"]
            self.grown.given.setdefault(self.name, []).append(token)

    def measured(self) -> Measured:
        """What it came to."""
        each = 1000 / len(self.requests)
        return Measured(self.server * each, self.database * each, 1000 * statistics.median(self.times))


def cpu_seconds(pid: int) -> float:
    """The processor time of a process, as exactly as the kernel has it."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def backends(name: str) -> list[int]:
    """The processes that work for clients of the PostgreSQL database `name` on this machine."""
    found = psutil.process_iter(["cmdline"])
    lines = ((process.pid, " ".join(process.info["cmdline"] or ())) for process in found)
    return [pid for pid, line in lines if line.startswith("postgres: ") and f" {name} " in line and "auto" not in line]


def asking(name: str, bodies: Callable[[Grown, int], Iterator[str]]) -> Callable[[Grown, int], Iterator[Request]]:
    """The requests to the route `name` (introspect, revoke) about one token each."""

    def requests(grown: Grown, number: int) -> Iterator[Request]:
        for raw in bodies(grown, number):
            yield Request("POST", f"/{name}", {"token": raw}, bearer(grown))

    return requests


def bearer(grown: Grown) -> dict[str, str]:
    """The header of a named token that may write."""
    return {"Authorization": f"Bearer {grown.registry.bearer}"}


def again(method: str, path: str, times: int = REQUESTS, **headers: str) -> Callable[[Grown, int], Iterator[Request]]:
    """The same request over and over; `BEARER`, `PUBLIC_KEY` and `PUBLISHER` in its headers stand for secrets."""

    def requests(grown: Grown, _: int) -> Iterator[Request]:
        secrets = {
            "BEARER": f"Bearer {grown.registry.bearer}",
            "PUBLIC_KEY": grown.registry.public_key,
            "PUBLISHER": grown.presented["publisher"],
        }
        named = {name.replace("_", "-"): secrets[value] for name, value in headers.items()}
        return (Request(method, path, None, named) for _ in range(times))

    return requests


def named(method: str, path: str, last: int = REQUESTS, first: int = 0, **fields: Any) -> Any:
    """A request about each named token that the round has made."""

    def requests(grown: Grown, number: int) -> Iterator[Request]:
        for index in range(first, last):
            name = f"grown-{number}-{index}"
            if method == "GET":
                yield Request(method, f"{path}?name={name}", None, bearer(grown))
            else:
                yield Request(method, path, {"name": name, **fields}, bearer(grown))

    return requests


def exchanges(grown: Grown, number: int) -> Iterator[Request]:
    """API keys in turn."""
    return (Request("POST", "/auth/v1/key", {"key": key}) for key in grown.share("keys", 0, number))


def refreshes(grown: Grown, number: int) -> Iterator[Request]:
    """A pair of another identity each time."""
    for pasta, edi in grown.share("pairs", 0, number):
        yield Request("POST", "/auth/v1/token/refresh", {"pasta-token": pasta, "edi-token": edi})


def profiles(method: str, first: int) -> Callable[[Grown, int], Iterator[Request]]:
    """What the EDI client library asks of profiles besides, of another one each time."""

    def requests(grown: Grown, number: int) -> Iterator[Request]:
        administrator = {"Cookie": f"edi-token={grown.presented['pairs'][0][1]}"}
        key = {"key": grown.registry.environment["EDI_SERVICE_KEY"]}
        for edi_id in grown.share("edi_ids", first, number, ENDING):
            path = f"/auth/v1/token/{edi_id}"
            yield Request(method, path, key) if method == "POST" else Request(method, path, None, administrator)

    return requests


def repeated(things: list[str]) -> Iterator[str]:
    """As many as a batch has."""
    return (things[index % len(things)] for index in range(REQUESTS))


# In the order of measuring: what is made first is presented, changed and ended later in the same round.
ROUTES: dict[str, Callable[[Grown, int], Iterator[Request]]] = {
    "token": again("GET", "/token", X_PUB_KEY="PUBLIC_KEY"),
    "token of a publisher": again("GET", "/token", X_PUB_KEY="PUBLISHER"),
    "mint": named("POST", "/_/token"),
    "list": again("GET", "/_/token?limit=100", Authorization="BEARER"),
    "update": named("PUT", "/_/token", write=False),
    "value": named("GET", "/_/token/value"),
    "rotate": named("POST", "/_/token/rotate"),
    "delete": named("DELETE", "/_/token", REQUESTS // 2),
    "exchange": exchanges,
    "refresh": refreshes,
    "create tokens": profiles("POST", SHARE),
    "end tokens": profiles("PUT", 3 * SHARE),
    "lock": profiles("DELETE", 4 * SHARE),
    "public key": again("GET", "/auth/v1/public-key", CHEAP),
    "ping": again("GET", "/auth/v1/ping", CHEAP),
    "jwks": again("GET", "/.well-known/jwks.json", CHEAP),
    "introspect: performance token": asking("introspect", lambda g, _: repeated(g.presented["performance"])),
    "introspect: named token": asking("introspect", lambda g, _: iter(g.latest("mint")[REQUESTS // 2 :])),
    "introspect: API key": asking("introspect", lambda g, n: g.share("keys", 0, n)),
    "introspect: publisher key": asking("introspect", lambda g, _: repeated([g.presented["publisher"]])),
    "introspect: EDI token": asking("introspect", lambda g, n: (edi for _, edi in g.share("pairs", SHARE, n))),
    "introspect: PASTA token": asking("introspect", lambda g, n: (pasta for pasta, _ in g.share("pairs", SHARE, n))),
    "introspect: nothing known": asking("introspect", lambda g, _: repeated(["unknown"])),
    "revoke: performance token": asking("revoke", lambda g, _: iter(g.latest("token"))),
    "revoke: named token": asking("revoke", lambda g, _: iter(g.latest("mint")[REQUESTS // 2 :])),
    "revoke: API key": asking("revoke", lambda g, n: g.share("keys", SHARE, n, ENDING)),
    "revoke: EDI token": asking("revoke", lambda g, n: (edi for _, edi in g.share("pairs", 2 * SHARE, n, ENDING))),
}


def serve(stack: ExitStack, kind: str, rows: int, url: str, folder: Path) -> Grown:
    """A registry with `rows` performance tokens, until the end of the stack."""
    folder.mkdir()
    name = f"registry_grown_{rows}_{os.getpid()}"
    made = registry.new(folder, stack.enter_context(database(url, name)) if kind == "postgres" else "")
    made.environment |= {
        "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
        "EDI_SERVICE_KEY": "service-key-of-the-bench",
    }
    subprocess.run(  # noqa: S603 — our own module
        [sys.executable, "-m", "tests.bench.grown", str(folder), str(rows)],
        cwd=ROOT,
        env=made.environment,
        timeout=GROW_SECONDS,
        check=True,
    )
    command = [sys.executable, "manage.py", "serve", "--bind", f"127.0.0.1:{made.port}", "--workers", str(WORKERS)]
    server = stack.enter_context(serving(made.port, command, made.environment, folder / "log"))
    return Grown(rows, made, server, name, json.loads((folder / "presented").read_text()))


Rounds = dict[str, dict[int, list[Measured]]]


def report(sizes: list[int], rounds: Rounds) -> tuple[Table, list[str]]:
    """The table of medians, and the routes that grow too much."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    first, *more = sizes
    table.add_column("route")
    columns = [f"server ms, {first:,}", "database ms", "p50 ms"]
    for size in more:
        columns += [f"CPU ms, {size:,}", "ratio", "p50 ms"]
    for name in (*columns, "target"):
        table.add_column(name, justify="right")
    missed = []
    for name, measured in rounds.items():
        base = measured[first]
        cells = [median(base, "server_ms"), median(base, "database_ms"), median(base, "p50_ms")]
        worst = 0.0
        for size in more:
            ratio = statistics.median(m.cpu_ms / b.cpu_ms for m, b in zip(measured[size], base, strict=True))
            worst = max(worst, ratio)
            cells += [median(measured[size], "cpu_ms"), f"{ratio:.2f}", median(measured[size], "p50_ms")]
        if worst > AT_MOST:
            missed.append(name)
        table.add_row(name, *cells, f"≤ {AT_MOST} {'MISSED' if worst > AT_MOST else 'met'}" if more else "")
    return table, missed


def median(measures: list[Measured], name: str) -> str:
    """The median of one figure, for the table."""
    return f"{statistics.median(getattr(measured, name) for measured in measures):.2f}"


def document(kind: str, rounds: Rounds) -> str:
    """Everything that was measured until now, as JSON."""
    found = {name: {n: [asdict(m) for m in of] for n, of in sizes.items()} for name, sizes in rounds.items()}
    return json.dumps({"machine": machine(), "db": kind, "routes": found}, indent=2)


def main() -> None:
    """Measure, report, and end with 1 when a route grows more than it may."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--db", choices=tuple(SIZES), default="postgres")
    parser.add_argument("--sizes", metavar="N,N", help="other numbers of rows, the smallest first")
    parser.add_argument("--rounds", type=int, default=MAX_ROUNDS, choices=range(1, MAX_ROUNDS + 1))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the databases go with the bench
    sizes = [int(size) for size in options.sizes.split(",")] if options.sizes else list(SIZES[options.db])
    console = Console(width=160)
    rounds: Rounds = {name: {size: [] for size in sizes} for name in ROUTES}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-growth-")))
        url = stack.enter_context(postgres()) if options.db == "postgres" else ""
        served = []
        for rows in sizes:
            begun = time.monotonic()
            served.append(serve(stack, options.db, rows, url, folder / str(rows)))
            console.print(f"{rows:,} rows are there after {time.monotonic() - begun:.0f} s", style="dim")
        for number in range(options.rounds + 1):
            for name in ROUTES:
                batches = [Batch(grown, name, number) for grown in served]
                for part in range(SLICES):
                    for batch in batches if part % 2 else reversed(batches):
                        batch.send(part)
                for grown, batch in zip(served, batches, strict=True):
                    measured = batch.measured()
                    if number:  # the first round warms up
                        rounds[name][grown.rows].append(measured)
            console.print(f"round {number} of {options.rounds} is done", style="dim")
            if options.json:
                options.json.write_text(document(options.db, rounds))
    table, missed = report(sizes, rounds)
    console.print(f"\n{machine()}; {options.db}; {options.rounds} rounds of {REQUESTS} requests a route")
    console.print(table)
    if missed:
        raise SystemExit(f"These routes grow more than {AT_MOST} times: {', '.join(missed)}.")


if __name__ == "__main__":
    main()
