"""`python -m tests.bench.two_servers`: two registries, one PostgreSQL, one Redis, nginx in front, and what holds then.

Each server has a folder of its own with copies of the secrets and key files, as it would on a machine of its own, and
one process, so that what both know is known to two. The script starts everything on ports of its own, checks what
`docs/scaling.md` promises, drives refreshes over one process and over more, and takes everything down again. nginx and
redis-server are those of the system.
"""

import argparse
import getpass
import http.client
import json
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import psutil

from tests.bench.load import Target, drive
from tests.core.process import ROOT, start
from tests.postgres import postgres
from tests.server import registry
from tests.server.registry import Answer, Registry, send

LIMIT, CLIENTS = 20, 4
# A little longer than nginx leaves a server alone that did not answer.
NOTICED_SECONDS = 1.5
START_SECONDS, STOP_SECONDS = 60, 40
PROGRAMS = ("nginx", "redis-server")
REFRESH = "/auth/v1/token/refresh"


def missing() -> list[str]:
    """The programs that are not installed."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return [program for program in PROGRAMS if shutil.which(program, path=search) is None]


@dataclass
class One:
    """One of the servers: a registry with a folder of its own."""

    registry: Registry
    workers: int = 1
    process: "Popen[bytes] | None" = None

    def start(self) -> None:
        """Serve, and wait until it does."""
        self.process = self.registry.start(workers=self.workers)
        until(lambda: answers(self.registry.port, "/readyz"), "the server")

    def kill(self) -> None:
        """End all its processes with `kill -9`."""
        assert self.process is not None
        master = psutil.Process(self.process.pid)
        # Without the master none of them is replaced.
        for process in (master, *master.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(timeout=STOP_SECONDS)

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=STOP_SECONDS)


@dataclass
class House:
    """Both servers and what is in front of them."""

    one: One
    other: One
    port: int

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request through nginx."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            return send(connection, method, path, body, **headers)


@contextmanager
def house(folder: Path, url: str) -> Iterator[House]:
    """Everything, on the empty PostgreSQL database at `url`."""
    cache, port = registry.free_port(), registry.free_port()
    with ExitStack() as stack:
        stack.enter_context(program("redis-server", folder, "--port", str(cache), "--bind", "127.0.0.1", "--save", ""))
        until(lambda: registry.listens(f"127.0.0.1:{cache}"), "redis-server")
        (folder / "one").mkdir()
        made = registry.new(folder / "one", url)
        made.environment |= {
            "CACHE_URL": f"redis://127.0.0.1:{cache}/0",
            "TRUSTED_PROXIES": "127.0.0.1",
            "MAX_FAILURES": str(LIMIT),
            "THREADS": "2",
            "EDI_REVOCATION_SECONDS": "1",
        }
        made.environment["EDI_ADMIN_IDS"] = next(w for w in demo_label(made).split() if w.startswith("EDI-"))
        servers = One(made), One(copied(made, folder / "other"))
        for server in servers:
            stack.callback(server.stop)
            server.start()
        config = folder / "nginx.conf"
        config.write_text(nginx_config(folder, port, *(server.registry.port for server in servers)))
        stack.enter_context(program("nginx", folder, "-p", str(folder), "-c", str(config)))
        until(lambda: answers(port, "/healthz"), "nginx")
        yield House(*servers, port)


@contextmanager
def program(name: str, folder: Path, *arguments: str) -> Iterator[None]:
    """Run a program of the system until the end of the context."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    path = shutil.which(name, path=search)
    assert path is not None, f"{name} is not installed."
    process = start(path, *arguments, environment={"PATH": search, "HOME": str(folder)}, log=folder / f"log-{name}")
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=STOP_SECONDS)


def nginx_config(folder: Path, port: int, *servers: int) -> str:
    """The shipped `docs/operations/nginx.conf` with these servers, on `port` without TLS."""
    shipped = (ROOT / "docs" / "operations" / "nginx.conf").read_text()
    text, replaced = re.subn(
        r"    server server:7000(.*;\n)",
        lambda line: "".join(f"    server 127.0.0.1:{number}{line[1]}" for number in servers),
        shipped,
    )
    assert replaced == 1
    text = re.sub(r"server \{\n    listen 8080;.*?\n\}\n", "", text, flags=re.DOTALL)
    text = re.sub(r"listen 8443 ssl;", f"listen 127.0.0.1:{port};", text)
    text = re.sub(r"    ssl_.*\n", "", text)
    places = "".join(
        f"    {place}_temp_path {folder}/nginx-{place};\n"
        for place in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\npid {folder}/nginx.pid;\nuser {getpass.getuser()};\nworker_processes 1;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\n{places}{text}}}\n"
    )


def copied(made: Registry, folder: Path) -> Registry:
    """The same registry as it would be on another machine: the same database and settings, copies of the files."""
    shutil.copytree(made.folder, folder)
    here, there = str(made.folder), str(folder)
    environment = {name: value.replace(here, there) for name, value in made.environment.items()}
    return Registry(folder, registry.free_port(), environment, made.made)


def copy_keys(source: Registry, target: Registry) -> None:
    """What carries key files from one machine to the other; see `docs/scaling.md`."""
    keys, copies = source.folder / "keys", target.folder / "keys"
    for path in keys.iterdir():
        shutil.copy2(path, copies / path.name)
    for path in copies.iterdir():
        if not (keys / path.name).exists():
            path.unlink()


def demo_label(made: Registry) -> str:
    """What `init` said of the API key of the demo profile, whose EDI-ID is in it."""
    return next(thing["label"] for thing in made.made if thing["label"].startswith("API key"))


def person(made: Registry, name: str) -> tuple[str, str]:
    """A fresh profile: its EDI-ID and an API key."""
    edi_id = json.loads(made.manage("add_profile", "--idp", "ldap", "--idp-uid", f"uid={name}", "--json"))["edi_id"]
    return edi_id, str(json.loads(made.manage("mint_api_key", edi_id, name, "--json"))["key"])


def pair(answer: Answer) -> dict[str, str]:
    """The tokens of an answer, as a refresh wants them."""
    assert answer.status == 200, answer.body
    document = answer.json()
    return {name: document[name] for name in ("pasta-token", "edi-token")}


def until(holds: Callable[[], bool], what: str, *, seconds: float = START_SECONDS) -> float:
    """Wait until it holds, and tell for how long."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > seconds:
            raise TimeoutError(f"Waited for {what} for {seconds:.0f} seconds in vain.")
        time.sleep(0.02)
    return time.monotonic() - begun


def answers(port: int, path: str) -> bool:
    """Whether `path` is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        return send(connection, "GET", path).status == 200
    return False


def failures_until_refused(both: House) -> int:
    """How many wrong keys one address may send, to both servers in turn, until it is refused."""
    while True:
        address, minute, count = f"203.0.113.{time.time_ns() % 250}", time.time() // 60, 0
        for count in range(10 * LIMIT):
            server = (both.one, both.other)[count % 2].registry
            answer = server.call("POST", "/auth/v1/key", {"key": "wrong"}, X_Forwarded_For=address)
            if answer.status == 429:
                break
            assert answer.status == 401, answer.body
        if time.time() // 60 == minute:  # or the count began anew in between
            return count


def rotate_api_key(both: House) -> tuple[int, int]:
    """Rotate an API key on one server: what the other answers to the new secret and, in its grace, to the old one."""
    old = both.one.registry.api_key
    new = json.loads(both.one.registry.manage("rotate_api_key", old[:5], "--json"))["key"]
    other = both.other.registry
    now, before = (other.call("POST", "/auth/v1/key", {"key": key}).status for key in (new, old))
    return now, before


def rotate_signing_key(both: House) -> list[int]:
    """Rotate the key of EDI tokens on one server and copy the files: what refreshes are answered at each step.

    At each step a pair that one server made is refreshed by the other, both ways. The last step but one is the moment
    at which one signs with the new key and the other still has the files of before.
    """
    one, other = both.one.registry, both.other.registry

    def crosswise() -> list[int]:
        first, second = (pair(server.call("POST", "/auth/v1/key", {"key": server.api_key})) for server in (one, other))
        return [other.call("POST", REFRESH, first).status, one.call("POST", REFRESH, second).status]

    one.manage("rotate_keys", "edi")
    copy_keys(one, other)
    until(lambda: len(other.call("GET", "/.well-known/jwks.json").json()["keys"]) == 3, "the next key")
    statuses = crosswise()
    before = one.call("GET", "/auth/v1/public-key").body
    one.manage("rotate_keys", "edi", "--force")
    until(lambda: one.call("GET", "/auth/v1/public-key").body != before, "the new key")
    statuses += crosswise()
    copy_keys(one, other)
    until(lambda: other.call("GET", "/auth/v1/public-key").body != before, "the new key on the other server")
    return statuses + crosswise()


def seconds_until_locked(both: House) -> float:
    """How long after a lock at one server the other still refreshes the tokens of the profile."""
    one, other = both.one.registry, both.other.registry
    edi_id, key = person(one, f"locked-{time.time_ns()}")
    tokens = pair(other.call("POST", "/auth/v1/key", {"key": key}))
    assert other.call("POST", REFRESH, tokens).status == 200
    administrator = pair(one.call("POST", "/auth/v1/key", {"key": one.api_key}))["edi-token"]
    answer = one.call("DELETE", f"/auth/v1/token/{edi_id}", Cookie=f"edi-token={administrator}")
    assert answer.status == 200, answer.body
    return until(lambda: other.call("POST", REFRESH, tokens).status == 403, "the lock")


@dataclass
class Caller(threading.Thread):
    """Sends one request after the other through nginx, and keeps what went wrong."""

    both: House
    path: str
    body: dict[str, str] | None
    over: threading.Event
    served: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Go on until told to stop."""
        headers = {} if self.body else {"X_PUB_KEY": self.both.one.registry.public_key}
        while not self.over.is_set():
            begun = time.monotonic()
            try:
                answer = self.both.call("POST" if self.body else "GET", self.path, self.body, **headers)
            except (OSError, http.client.HTTPException) as exc:
                self.failures.append(repr(exc))
                continue
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if answer.status == 200:
                self.served += 1
            else:
                self.failures.append(f"{answer.status} {answer.body[:80]!r}")


def losses(both: House, path: str, event: Callable[[], None]) -> tuple[int, list[str], float]:
    """Call `path` (refresh, exchange or `/token`) from four clients while `event` happens.

    How many requests were served, what went wrong, and the seconds of the slowest.
    """
    over = threading.Event()
    key = {"key": both.one.registry.api_key}
    bodies = {REFRESH: pair(both.call("POST", "/auth/v1/key", key)), "/auth/v1/key": key}
    callers = [Caller(both, path, bodies.get(path), over) for _ in range(CLIENTS)]
    for caller in callers:
        caller.start()
    try:
        time.sleep(0.5)
        event()
        time.sleep(0.5)
    finally:
        over.set()
        for caller in callers:
            caller.join(timeout=30)
    failures = [failure for caller in callers for failure in caller.failures]
    return sum(caller.served for caller in callers), failures, max(caller.slowest for caller in callers)


def kill_and_start(server: One) -> None:
    """Kill a server, let its clients notice, and start it again."""
    server.kill()
    time.sleep(0.5)
    server.start()
    time.sleep(NOTICED_SECONDS)


def upgrade(both: House) -> None:
    """Stop and start one server after the other, as an upgrade does, with a pause for nginx to notice."""
    for server in (both.one, both.other):
        server.stop()
        server.start()
        time.sleep(NOTICED_SECONDS)


def throughput(both: House, seconds: float) -> dict[str, float]:
    """Refreshes a second of one process, of one server with two, and of both servers with one each."""
    bodies = both.one.registry.folder / "refreshed"
    bodies.write_text(json.dumps(pair(both.call("POST", "/auth/v1/key", {"key": both.one.registry.api_key}))))
    target = Target("POST", REFRESH, bodies)
    double = One(copied(both.one.registry, both.one.registry.folder.parent / "double"), workers=2)
    double.start()
    rates: dict[str, list[float]] = {"one process": [], "two processes": [], "two servers behind nginx": []}
    try:
        for _ in range(3):
            for name, port in zip(rates, (both.one.registry.port, double.registry.port, both.port), strict=True):
                load = drive(port, target, seconds=seconds)
                assert (load.refused, load.broken) == (0, 0)
                rates[name].append(load.rate)
    finally:
        double.stop()
    return {name: statistics.median(measured) for name, measured in rates.items()}


def main() -> int:
    """Check everything and say what was seen; 1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.two_servers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="how long each throughput is measured, three times")
    options = parser.parse_args()
    if absent := missing():
        print(f"Needs {' and '.join(absent)}; on Debian: apt install nginx-light redis-server")  # noqa: T201 — prints
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends with the script
    failed = []

    def say(sentence: str, holds: bool) -> None:
        print(f"{'holds' if holds else 'FAILS'}  {sentence}", flush=True)  # noqa: T201 — prints
        if not holds:
            failed.append(sentence)

    with tempfile.TemporaryDirectory(prefix="registry-two-") as name, postgres() as url, house(Path(name), url) as both:
        count = failures_until_refused(both)
        say(f"An address was refused at both servers after {count} failures ({LIMIT} are allowed)", count <= LIMIT + 1)
        new, old = rotate_api_key(both)
        say(
            f"An API key rotated at one: the other answers {new} to the new secret, {old} to the old", new == old == 200
        )
        statuses = rotate_signing_key(both)
        say(f"Six refreshes across servers while a signing key was rotated: {statuses}", set(statuses) == {200})
        seconds = seconds_until_locked(both)
        say(f"A lock at one ended refreshes at the other after {seconds:.1f} s", seconds < 3)
        for path in (REFRESH, "/token", "/auth/v1/key"):
            served, lost, slowest = losses(both, path, lambda: kill_and_start(both.one))
            sentence = f"{path}: one server killed, {served} requests served, {len(lost)} lost, slowest {slowest:.2f} s"
            say(sentence, len(lost) <= CLIENTS)
            served, lost, slowest = losses(both, path, lambda: upgrade(both))
            sentence = f"{path}: both restarted in turn, {served} served, {len(lost)} lost, slowest {slowest:.2f} s"
            say(sentence, len(lost) <= CLIENTS)
        rates = throughput(both, options.seconds)
        print("refreshes a second: " + ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items()))  # noqa: T201 — prints
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
