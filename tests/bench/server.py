"""A server under measurement: started, watched through /proc, stopped by its own process id."""

import http.client
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
START_SECONDS = 60
WORKERS = 2


@dataclass(frozen=True)
class Server:
    """A running server and how long it took to its first answer."""

    pid: int
    port: int
    start_seconds: float

    def cpu_seconds(self) -> float:
        """The processor time that the master and its workers have used."""
        return sum(_cpu_seconds(pid) for pid in [self.pid, *self.workers()])

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def memory_mib(self) -> list[float]:
        """The resident memory of each worker."""
        return [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1024 / 1024 for pid in self.workers()]


def _cpu_seconds(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / TICKS


@contextmanager
def serving(port: int, command: list[str], environment: dict[str, str], log: Path) -> Iterator[Server]:
    """Run `command`, a program and its arguments that make a server on `port`, until the end of the context."""
    with log.open("ab") as file:
        begun = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 — the caller's own command
            command, cwd=ROOT, env=environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
    try:
        while not _answers(port):
            if process.poll() is not None or time.monotonic() - begun > START_SECONDS:
                raise RuntimeError(f"The server did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.01)
        yield Server(process.pid, port, time.monotonic() - begun)
    finally:
        process.terminate()
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/bench/empty")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
