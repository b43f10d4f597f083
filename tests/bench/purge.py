"""`python -m tests.bench.purge`: how long callers of the API wait while `purge_tokens` deletes millions of rows.

On PostgreSQL. All routes are sent requests at a modest rate, for a while without a purge and then with one beside it,
so that whatever else the machine does falls on both. It prints the medians over the rounds of p50 and p99, and of the
ratio of p99 with the purge to p99 without.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from rich.console import Console
from rich.table import Table

from tests.bench.__main__ import machine
from tests.bench.load import Load, Target, drive
from tests.bench.server import ROOT, WORKERS, serving
from tests.postgres import database, postgres
from tests.server import registry
from tests.server.registry import Registry

AT_MOST = 2.0
# So many rows are younger than what is purged.
KEPT = 100_000
# How long a purge takes from its start to its first batch.
START_SECONDS = 1.5

Loads = dict[str, Load]


def targets(made: Registry, rate: float, names: int) -> dict[str, Target]:
    """What is sent, `rate` times a second each; `names` named tokens can be made."""
    presented = json.loads((made.folder / "presented").read_text())
    bearer, publisher = {"Authorization": f"Bearer {made.bearer}"}, {"X-PUB-KEY": presented["publisher"]}
    bodies: dict[str, list[dict[str, Any]]] = {
        "create": [{"name": f"purge-{number}"} for number in range(names)],
        "exchange": [{"key": key} for key in presented["keys"]],
        "refresh": [{"pasta-token": pasta, "edi-token": edi} for pasta, edi in presented["pairs"]],
        "introspect": [{"token": token} for token in presented["performance"][::2]],
        "revoke": [{"token": token} for token in presented["performance"][1::2]],
    }
    for name, documents in bodies.items():
        (made.folder / name).write_text("\n".join(map(json.dumps, documents)))
    return {
        "GET /token": Target("GET", "/token", headers=publisher, rate=rate),
        "POST /_/token": Target("POST", "/_/token", made.folder / "create", bearer, rate=rate),
        "GET /_/token": Target("GET", "/_/token?limit=100", headers=bearer, rate=rate),
        "GET /_/token/value": Target("GET", "/_/token/value?name=first", headers=bearer, rate=rate),
        "POST /auth/v1/key": Target("POST", "/auth/v1/key", made.folder / "exchange", rate=rate),
        "POST /auth/v1/token/refresh": Target("POST", "/auth/v1/token/refresh", made.folder / "refresh", rate=rate),
        "POST /introspect": Target("POST", "/introspect", made.folder / "introspect", bearer, rate=rate),
        "POST /revoke": Target("POST", "/revoke", made.folder / "revoke", bearer, rate=rate),
    }


def drive_all(port: int, wanted: Mapping[str, Target], seconds: float, first: int) -> Loads:
    """Send all of them at the same time, the bodies from line `first` on.

    Raises when an answer is a refusal: those are quicker than answers.
    """
    with ThreadPoolExecutor(len(wanted)) as clients:
        shifted = {name: replace(target, first=first) for name, target in wanted.items()}
        pending = {name: clients.submit(drive, port, target, seconds=seconds) for name, target in shifted.items()}
        loads = {name: future.result() for name, future in pending.items()}
    for name, load in loads.items():
        if load.refused or load.broken or not load.requests:
            raise RuntimeError(f"{name}: {load.refused} refused and {load.broken} broken of {load.requests} requests.")
    return loads


@contextmanager
def purging(made: Registry, batch: int, seconds: int, deleted: list[int]) -> Iterator[None]:
    """Purge meanwhile, in a process of its own; how many rows went is added to `deleted`."""
    command = ["manage.py", "purge_tokens", "--older-than", "30d", "--batch", str(batch)]
    command += ["--max-seconds", str(seconds), "--json"]
    process = subprocess.Popen(  # noqa: S603 — our own command
        [sys.executable, *command], cwd=ROOT, env=made.environment, stdout=subprocess.PIPE
    )
    time.sleep(START_SECONDS)
    yield
    outcome = json.loads(process.communicate(timeout=600)[0])
    if not outcome["left"]:
        raise RuntimeError("The purge had nothing left to delete; ask for more --rows or fewer --seconds.")
    deleted.append(outcome["deleted"])


def report(rounds: list[tuple[Loads, Loads]]) -> tuple[Table, bool]:
    """The table of medians, and whether every ratio is what it is to be."""
    table, is_met = Table(box=None, header_style="bold", pad_edge=False), True
    for name in ("route", "p50 ms", "with purge", "p99 ms", "with purge", "p99 ÷ p99", "target"):
        table.add_column(name, justify="left" if name == "route" else "right")
    for name in rounds[0][0]:
        pairs = [(calm[name], busy[name]) for calm, busy in rounds]
        ratio = statistics.median(busy.p99_ms / calm.p99_ms for calm, busy in pairs)
        is_met = is_met and ratio <= AT_MOST
        figures = ([load.p50_ms for load in loads] for loads in zip(*pairs, strict=True))
        figures_99 = ([load.p99_ms for load in loads] for loads in zip(*pairs, strict=True))
        cells = [f"{statistics.median(figure):.1f}" for figure in (*figures, *figures_99)]
        table.add_row(name, *cells, f"{ratio:.2f}", f"≤ {AT_MOST:g} {'met' if ratio <= AT_MOST else 'MISSED'}")
    return table, is_met


def main() -> None:
    """Measure and report; end with 1 when a p99 grows more than it may."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.purge", description=__doc__)
    parser.add_argument("--rows", type=int, default=6_000_000, help="how many are there to delete")
    parser.add_argument("--batch", type=int, default=5000, help="how many rows a transaction deletes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="how long each half of a round lasts")
    parser.add_argument("--rate", type=float, default=25, help="requests a second to each route")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the database goes with the bench
    console = Console(width=160)
    deleted: list[int] = []
    rounds: list[tuple[Loads, Loads]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-purge-")))
        url = stack.enter_context(database(stack.enter_context(postgres()), f"registry_purge_{os.getpid()}"))
        made = registry.new(folder, url)
        made.environment |= {"DJANGO_SETTINGS_MODULE": "tests.bench.settings", "PERFORMANCE_TOKEN_KEEP_DAYS": "0"}
        grow = [sys.executable, "-m", "tests.bench.grown", str(folder), str(options.rows + KEPT), str(options.rows)]
        subprocess.run(grow, cwd=ROOT, env=made.environment, check=True)  # noqa: S603 — our own module
        command = [sys.executable, "manage.py", "serve", "--bind", f"127.0.0.1:{made.port}", "--workers", str(WORKERS)]
        server = stack.enter_context(serving(made.port, command, made.environment, folder / "log"))
        share = round(2 * options.seconds * options.rate)
        wanted = targets(made, options.rate, (2 * options.rounds + 1) * share)
        drive_all(server.port, wanted, options.seconds, 0)
        for number in range(options.rounds):
            calm = drive_all(server.port, wanted, options.seconds, (2 * number + 1) * share)
            with purging(made, options.batch, options.seconds + 1, deleted):
                busy = drive_all(server.port, wanted, options.seconds, (2 * number + 2) * share)
            rounds.append((calm, busy))
            console.print(f"round {number + 1} of {options.rounds} is done", style="dim")
    table, is_met = report(rounds)
    console.print(f"\n{machine()}; {options.rounds} rounds of {options.seconds} s, {options.rate:g} requests/s a route")
    console.print(table)
    rate = sum(deleted) / (options.rounds * (options.seconds + 1))
    console.print(f"{sum(deleted):,} rows were deleted in batches of {options.batch:,}, {rate:,.0f} a second.")
    if not is_met:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
