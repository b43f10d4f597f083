"""`python -m tests.bench`: measure everything, print a table of medians, and with `--json` write what was measured.

Every round measures each case once, next to the baseline that it is held against, so that whatever else the machine
does falls on both. A ratio is taken within a round; the table has the median of the rounds.
"""

import argparse
import json
import os
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from rich.console import Console
from rich.table import Table

from tests.bench.load import Load, Target, drive
from tests.bench.server import ROOT, WORKERS, Server, serving
from tests.postgres import database as postgres_database
from tests.postgres import postgres
from tests.server import registry
from tests.server.registry import Registry

WARM_UP_SECONDS = 2
# More than any server here refreshes in a second: no identity comes twice in a round, nor in the one after it.
IDENTITIES_PER_SECOND = 2_000


@dataclass(frozen=True)
class Measured:
    """One case in one round. What a case has not is None."""

    rate: float | None = None
    cpu_ms: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    value: float | None = None


Round = Mapping[str, Measured]


@dataclass(frozen=True)
class Case:
    """A line of the table: `ratio` of one round's measures, and what it is to be.

    `baseline` says in words what stands under the line, `needs` which other cases the ratio asks for.
    """

    name: str
    label: str
    baseline: str = ""
    ratio: Callable[[Round], float | None] = lambda measured: None
    at_most: float | None = None
    at_least: float | None = None
    needs: tuple[str, ...] = ()

    def verdict(self, ratio: float | None) -> str:
        """Whether the target is met, in the table's words."""
        if ratio is None or (self.at_most is None and self.at_least is None):
            return ""
        if self.at_most is not None:
            return f"≤ {self.at_most:g} {'met' if ratio <= self.at_most else 'MISSED'}"
        return f"≥ {self.at_least:g} {'met' if ratio >= (self.at_least or 0) else 'MISSED'}"


def cpu(name: str, base: str) -> Callable[[Round], float | None]:
    """Server CPU per request of one case ÷ that of another."""
    return lambda measured: _ratio(measured[name].cpu_ms, measured[base].cpu_ms)


def rate(name: str, base: str) -> Callable[[Round], float | None]:
    """Requests per second of one case ÷ those of another."""
    return lambda measured: _ratio(measured[name].rate, measured[base].rate)


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value and base else None


WORDS = {"crypto": "bare cryptography", "refresh": "refresh", "bare": "bare DRF project", "empty": "empty view"}


def costs(name: str, label: str, base: str, *, at_most: float) -> Case:
    """A case whose CPU time is held against that of another."""
    return Case(name, label, f"CPU ÷ {WORDS[base]}", cpu(name, base), at_most=at_most, needs=(base,))


def serves(name: str, label: str, base: str, *, at_least: float) -> Case:
    """A case whose rate is held against that of another."""
    return Case(name, label, f"rate ÷ {WORDS[base]}", rate(name, base), at_least=at_least, needs=(base,))


# In the order of measuring, each beside its baseline.
CASES = (
    Case("crypto", "bare cryptography of a refresh, one core"),
    costs("refresh", "refresh, every time another identity", "crypto", at_most=1.45),
    costs("refresh-turn", "refresh, a thousand identities in turn", "crypto", at_most=1.45),
    costs("refresh-again", "refresh, the same identity again", "crypto", at_most=0.5),
    serves("exchange", "key exchange, eight clients with one key", "refresh", at_least=0.75),
    Case(
        "exchange-eight",
        "key exchange, eight keys",
        "rate of one key ÷ of eight",
        rate("exchange", "exchange-eight"),
        at_least=0.9,
        needs=("exchange",),
    ),
    Case(
        "paced",
        "refresh at 70 % of its capacity",
        "p99 ÷ p50",
        lambda measured: _ratio(measured["paced"].p99_ms, measured["paced"].p50_ms),
        at_most=5,
        needs=("refresh",),
    ),
    Case("bare", "empty view of a bare DRF project"),
    serves("empty", "empty view on this server", "bare", at_least=0.85),
    serves("token", "GET /token", "empty", at_least=0.55),
    serves("value", "GET /_/token/value", "empty", at_least=0.6),
    serves("introspect", "POST /introspect", "empty", at_least=0.6),
    Case("insert", "one-row INSERTs, eight connections, no server"),
    Case(
        "start", "start to the first answer (seconds)", "seconds", lambda measured: measured["start"].value, at_most=1.5
    ),
)
BY_NAME = {case.name: case for case in CASES}


@dataclass
class Bench:
    """A seeded registry and how to serve it."""

    registry: Registry
    command: list[str]
    python: str
    seconds: float
    queries: dict[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the seed and the logs are."""
        return self.registry.folder

    @property
    def targets(self) -> dict[str, Target]:
        """What each case sends."""
        bearer = {"Authorization": f"Bearer {self.registry.bearer}"}
        one, first = self.folder / "api-key", self.folder / "first-pair"
        refresh = "/auth/v1/token/refresh"
        return {
            "refresh": Target("POST", refresh, self.folder / "pairs"),
            "refresh-turn": Target("POST", refresh, self.folder / "thousand-pairs"),
            "refresh-again": Target("POST", refresh, first),
            "paced": Target("POST", refresh, self.folder / "pairs"),
            "exchange": Target("POST", "/auth/v1/key", one),
            "exchange-eight": Target("POST", "/auth/v1/key", self.folder / "api-keys"),
            "empty": Target("GET", "/bench/empty"),
            "bare": Target("GET", "/bench/empty"),
            "token": Target("GET", "/token", headers={"X-PUB-KEY": self.registry.public_key}),
            "value": Target("GET", "/_/token/value?name=first", headers=bearer),
            "introspect": Target("POST", "/introspect", self.folder / "asked", headers=bearer),
        }

    def seed(self) -> None:
        """Store what the cases ask for and count their queries."""
        self.run("tests.bench.seed", str(self.folder), str(round(2 * IDENTITIES_PER_SECOND * self.seconds)))
        with (self.folder / "pairs").open() as pairs:
            (self.folder / "first-pair").write_text(pairs.readline())
        with (self.folder / "pairs").open() as pairs:
            (self.folder / "thousand-pairs").write_text("".join(islice(pairs, 1000)))
        (self.folder / "asked").write_text(json.dumps({"token": self.registry.bearer}))
        asked = {
            name: {
                "method": target.method,
                "path": target.path,
                "body": target.bodies.open().readline() if target.bodies else "",
                "headers": target.headers,
            }
            for name, target in self.targets.items()
            if name != "bare"
        }
        self.queries = json.loads(self.run("tests.bench.queries", given=json.dumps(asked)))

    def run(self, module: str, *arguments: str, given: str = "") -> str:
        """What a module of the bench prints, run in the registry's environment."""
        done = subprocess.run(  # noqa: S603 — our own modules
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=self.registry.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout

    @contextmanager
    def serving(self, port: int) -> Iterator[Server]:
        """The registry's server."""
        command = [self.python, *(part.format(port=port) for part in self.command)]
        with serving(port, command, self.registry.environment, self.folder / "log") as server:
            yield server

    @contextmanager
    def serving_bare(self, port: int) -> Iterator[Server]:
        """The same gunicorn with the same options and a project that has nothing but one empty view."""
        command = [self.python, "-m", "tests.bench.bare", str(port), str(WORKERS)]
        with serving(port, command, self.registry.environment, self.folder / "log-bare") as server:
            yield server


def measure(bench: Bench, case: Case, number: int, so_far: Round, ours: Server, bare: Server | None) -> Measured:
    """One case in one round."""
    if case.name in {"crypto", "insert"}:
        found = json.loads(bench.run("tests.bench.floor", case.name, str(bench.seconds)))
        return Measured(rate=found["rate"], cpu_ms=found["cpu_ms"])
    if case.name == "start":
        with bench.serving(registry.free_port()) as fresh:
            return Measured(value=fresh.start_seconds)
    target, server = bench.targets[case.name], bare if case.name == "bare" and bare else ours
    if case.name in {"refresh", "paced"}:
        half = round(IDENTITIES_PER_SECOND * bench.seconds)
        first = ((2 * number + (case.name == "paced")) % 2) * half
        pace = 0.7 * (so_far["refresh"].rate or 0) if case.name == "paced" else 0
        target = Target(target.method, target.path, target.bodies, target.headers, first, pace)
    before = server.cpu_seconds()
    load = drive(server.port, target, seconds=bench.seconds)
    spent = server.cpu_seconds() - before
    check(case, load)
    return Measured(load.rate, spent * 1000 / load.requests, load.p50_ms, load.p99_ms)


def check(case: Case, load: Load) -> None:
    """Raise when a measurement counted refusals: those are cheaper than answers."""
    if load.refused or load.broken or not load.requests:
        raise RuntimeError(f"{case.name}: {load.refused} refused and {load.broken} broken of {load.requests} requests.")


def wanted(only: list[str]) -> list[Case]:
    """The cases to measure: those that are named, and what their ratios need."""
    names = set(only or BY_NAME)
    while more := {need for name in names for need in BY_NAME[name].needs} - names:
        names |= more
    return [case for case in CASES if case.name in names]


def report(cases: list[Case], rounds: Sequence[Round], queries: Mapping[str, int]) -> Table:
    """The table of medians."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("case", "req/s", "p50 ms", "p99 ms", "CPU ms", "queries", "ratio", "of", "target"):
        table.add_column(name, justify="left" if name in {"case", "of", "target"} else "right")
    for case in cases:
        measures = [measured[case.name] for measured in rounds]
        ratio = median([case.ratio(measured) for measured in rounds])
        table.add_row(
            case.label,
            shown(median([m.rate for m in measures]), 0),
            shown(median([m.p50_ms for m in measures]), 1),
            shown(median([m.p99_ms for m in measures]), 1),
            shown(median([m.cpu_ms for m in measures]), 3),
            str(queries.get(case.name, "")),
            shown(ratio, 2),
            case.baseline,
            case.verdict(ratio),
        )
    return table


def ours_answered(rounds: Sequence[Round], seconds: float) -> float:
    """How many requests the workers have answered."""
    cases = [case for case in CASES if case.name not in {"crypto", "bare", "insert", "start"}]
    return sum(
        (measured[case.name].rate or 0) * seconds for measured in rounds for case in cases if case.name in measured
    )


def median(values: list[float | None]) -> float | None:
    """The median of the values there are."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def shown(value: float | None, digits: int) -> str:
    """A number for the table."""
    return "" if value is None else f"{value:.{digits}f}"


def machine() -> str:
    """The machine, in one line."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a fresh database that goes with the context."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/registry.sqlite3"
        return
    with postgres() as server, postgres_database(server, f"registry_bench_{os.getpid()}") as url:
        yield url


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--db", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="how long each case runs in each round")
    parser.add_argument("--only", action="append", default=[], choices=list(BY_NAME), metavar="CASE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    parser.add_argument("--serve", metavar="COMMAND", help="a server to measure instead; {port} stands for its port")
    parser.add_argument("--python", metavar="PROGRAM", default=sys.executable, help="what runs the servers")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and folder go with the bench
    cases, rounds, console = wanted(options.only), [], Console(width=160)
    command = shlex.split(options.serve) if options.serve else []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-bench-")))
        made = registry.new(folder, stack.enter_context(database(options.db, folder)))
        made.environment["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
        served = command or ["manage.py", "serve", "--bind", "127.0.0.1:{port}", "--workers", str(WORKERS)]
        bench = Bench(made, served, options.python, options.seconds)
        bench.seed()
        ours = stack.enter_context(bench.serving(registry.free_port()))
        bare = stack.enter_context(bench.serving_bare(registry.free_port())) if BY_NAME["bare"] in cases else None
        for server in filter(None, (ours, bare)):
            drive(server.port, bench.targets["empty"], seconds=WARM_UP_SECONDS)
        for number in range(options.rounds):
            measured: dict[str, Measured] = {}
            for case in cases:
                measured[case.name] = measure(bench, case, number, measured, ours, bare)
            rounds.append(measured)
            console.print(f"round {number + 1} of {options.rounds} is done", style="dim")
        memory, answered = [round(mib) for mib in ours.memory_mib()], round(ours_answered(rounds, options.seconds))
    console.print(f"\n{machine()}; {options.db}; {WORKERS} workers; {options.rounds} rounds of {options.seconds:g} s")
    console.print(report(cases, rounds, bench.queries))
    console.print(f"memory of the workers after {answered:,} requests: {memory} MiB")
    if options.json:
        document: dict[str, Any] = {"machine": machine(), "db": options.db, "queries": bench.queries}
        document |= {
            "memory_mib": memory,
            "answered": answered,
            "rounds": [{k: asdict(v) for k, v in r.items()} for r in rounds],
        }
        options.json.write_text(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
