"""`python -m tests.load --minutes 1`: 500 connections to a server of two workers, their replacement, and its end.

Exit code 0 when every answer was served, 429 or 503, no request was lost, and nothing has grown.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen

import django
import psutil

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tests.load.clients import Crowd, Tally  # noqa: E402 — after the settings
from tests.postgres import cluster  # noqa: E402 — after the settings
from tests.server import registry  # noqa: E402 — after the settings
from tests.server.registry import Registry  # noqa: E402 — after the settings

SLOW, SILENT, GREEDY, PIPELINING = 20, 20, 10, 10
# A worker has warmed up after a quarter of the time. What it may have gained at the end, in bytes and descriptors; of
# the latter it has some dozens more or less as rude clients come and go.
WARM = 0.25
MEMORY_GROWTH, DESCRIPTOR_GROWTH = 16 * 2**20, 64
RESTART_SECONDS = 60


def use(server: "Popen[bytes]") -> dict[int, tuple[int, int]]:
    """By worker, its memory in bytes and the number of its descriptors."""
    workers = psutil.Process(server.pid).children()
    return {worker.pid: (worker.memory_info().rss, worker.num_fds()) for worker in workers}


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 — what it is for


def told(used: dict[int, tuple[int, int]]) -> str:
    """What `use` returned, in words."""
    return "; ".join(f"{memory / 2**20:.0f} MB and {files} files" for memory, files in used.values())


async def load(made: Registry, server: "Popen[bytes]", *, connections: int, seconds: float) -> tuple[Tally, list[str]]:
    """Let all clients loose on `server`. Returns what they saw, and complaints."""
    tally, stop, complaints = Tally(), asyncio.Event(), []
    crowd = Crowd(made, tally, stop)
    kinds = [(crowd.slow, SLOW), (crowd.silent, SILENT), (crowd.greedy, GREEDY), (crowd.pipelining, PIPELINING)]
    kinds.append((crowd.busy, connections - sum(number for _, number in kinds)))
    clients = [asyncio.create_task(client()) for client, number in kinds for _ in range(number)]

    begun, warm, used = time.monotonic(), None, use(server)
    for tenth in range(1, 11):
        await asyncio.sleep(begun + seconds * tenth / 10 - time.monotonic())
        used = use(server)
        say(f"{seconds * tenth / 600:.1f} min: {tally.answers.total()} answers, {told(used)}")
        if warm is None and tenth >= 10 * WARM:
            warm = used
    complaints += grown(warm or {}, used)

    before = set(used)
    os.kill(server.pid, signal.SIGHUP)
    deadline = time.monotonic() + RESTART_SECONDS
    while before & set(use(server)) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    if before & set(use(server)):
        complaints.append("workers that were to be replaced live on")
    say(f"workers replaced: {tally.answers.total()} answers, errors: {dict(tally.errors) or 'none'}")
    tally.is_stopping = True
    server.terminate()
    code = await asyncio.to_thread(server.wait, 60)
    if code != 0:
        complaints.append(f"exit code {code}")
    stop.set()
    _, unfinished = await asyncio.wait(clients, timeout=40)
    if unfinished:
        complaints.append(f"{len(unfinished)} clients hang")
    return tally, complaints


def grown(before: dict[int, tuple[int, int]], after: dict[int, tuple[int, int]]) -> list[str]:
    """Complaints about workers that have grown, or died."""
    complaints = []
    for worker, (memory, files) in before.items():
        if worker not in after:
            complaints.append(f"worker {worker} ended")
            continue
        memory_after, files_after = after[worker]
        if memory_after - memory > MEMORY_GROWTH:
            complaints.append(f"a worker grew from {memory / 2**20:.0f} to {memory_after / 2**20:.0f} MB")
        if files_after - files > DESCRIPTOR_GROWTH:
            complaints.append(f"a worker grew from {files} to {files_after} descriptors")
    return complaints


def main() -> int:
    """Run it, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="how long (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=500, help="how many clients (default: %(default)s)")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-load-")))
        is_postgres = options.database == "postgresql"
        made = registry.new(folder, stack.enter_context(cluster()).url if is_postgres else "")
        server = made.start()
        stack.callback(server.kill)
        made.wait(server)
        begun = time.process_time()
        seconds = 60 * options.minutes
        tally, complaints = asyncio.run(load(made, server, connections=options.connections, seconds=seconds))
        log = made.log
    if "Traceback" in log:
        complaints.append(f"the log has a traceback:\n{log[log.index('Traceback') - 500 :][:3000]}")
    say(f"answers by status: {dict(tally.answers)}; slowest {tally.slowest:.1f} s")
    say(f"clients that were slow, silent, half-open or did not read and were let go: {tally.let_go}")
    say(f"errors: {dict(tally.errors) or 'none'} (CPU of the clients: {time.process_time() - begun:.0f} s)")
    for complaint in complaints:
        say(f"complaint: {complaint}")
    return int(bool(tally.errors or complaints))


if __name__ == "__main__":
    sys.exit(main())
