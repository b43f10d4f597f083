"""Drives a server with `wrk`, or where that is not installed with a client in Python, and tells what it measured."""

import http.client
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 8


@dataclass(frozen=True)
class Target:
    """What to send: one request, with the bodies of a file in turn beginning behind line `first`."""

    method: str
    path: str
    bodies: Path | None = None
    headers: dict[str, str] = field(default_factory=dict)
    first: int = 0
    rate: float = 0


@dataclass(frozen=True)
class Load:
    """What was measured. `refused` are answers from 400 on, `broken` those that never came."""

    requests: int
    seconds: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def drive(port: int, target: Target, *, seconds: float) -> Load:
    """Send `target` over eight connections for so long."""
    return (_wrk if shutil.which("wrk") else _python)(port, target, seconds)


def _wrk(port: int, target: Target, seconds: float) -> Load:
    with tempfile.NamedTemporaryFile(prefix="registry-bench-") as result:
        headers = [f"{name}:{value}" for name, value in target.headers.items()]
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(SCRIPT)]
        command += [f"http://127.0.0.1:{port}", "--", target.method, target.path, str(target.bodies or "-")]
        command += [str(target.first), str(target.rate), *headers]
        subprocess.run(  # noqa: S603 — a program of this name is what was looked for
            command,
            env={**os.environ, "BENCH_RESULT": result.name},
            stdout=subprocess.DEVNULL,
            timeout=seconds + 30,
            check=True,
        )
        return Load(**json.loads(Path(result.name).read_text()))


def _python(port: int, target: Target, seconds: float) -> Load:
    bodies: list[str | None] = list(target.bodies.read_text().splitlines()) if target.bodies else [None]
    numbers, begun = count(target.first), time.monotonic()
    step = CONNECTIONS / target.rate if target.rate else 0.0

    def client(_: int) -> tuple[list[float], int, int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        times, refused, broken, due = [], 0, 0, time.monotonic()
        while time.monotonic() - begun < seconds:
            if step:
                due += step
                time.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic()
            try:
                connection.request(target.method, target.path, bodies[next(numbers) % len(bodies)], target.headers)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                broken += 1
                connection.close()
                continue
            refused += response.status >= 400
            times.append((time.monotonic() - sent) * 1000)
        connection.close()
        return times, refused, broken

    with ThreadPoolExecutor(CONNECTIONS) as clients:
        parts = list(clients.map(client, range(CONNECTIONS)))
    times = [moment for part, _, _ in parts for moment in part]
    cuts = statistics.quantiles(times, n=100) if len(times) > 1 else [0.0] * 99
    return Load(
        requests=len(times),
        seconds=time.monotonic() - begun,
        refused=sum(part[1] for part in parts),
        broken=sum(part[2] for part in parts),
        p50_ms=cuts[49],
        p99_ms=cuts[98],
    )
