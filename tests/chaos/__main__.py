"""`python -m tests.chaos --kills 5`: load, `kill -9`, and an account of it. Ends by itself and cleans up.

What is killed is started again at once, as a supervisor would.
"""

import argparse
import http.client
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import django
import orjson
import psutil

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tests.chaos.load import Client  # noqa: E402 — after the settings
from tests.core.process import ROOT  # noqa: E402 — after the settings
from tests.postgres import Cluster, cluster  # noqa: E402 — after the settings
from tests.server import registry  # noqa: E402 — after the settings
from tests.server.registry import Answer, Registry, send  # noqa: E402 — after the settings

CLIENTS = 6
RECOVERY_SECONDS = 60
LIMIT_MINUTES = 15
# How long a database that was killed stays so.
DOWN_SECONDS = 0.3
# What PostgreSQL has not written of commits that wait for no disk: three times its `wal_writer_delay`.
UNWRITTEN_SECONDS = 0.6


@dataclass
class Account:
    """What a run came to."""

    database: str
    kills: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    acknowledged: int = 0
    checked: int = 0
    slowest_return: float = 0.0
    crashes: list[float] = field(default_factory=list)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def fail(self, what: str, *details: str) -> None:
        """Note failures of one sort."""
        self.failures.setdefault(what, []).extend(details)

    def count(self, what: str) -> int:
        """How many failures of one sort there were."""
        return len(self.failures.get(what, []))

    def may_be_uncounted(self, moment: float) -> bool:
        """Whether the database may have forgotten to count what was acknowledged then, because it was just killed."""
        return any(-UNWRITTEN_SECONDS <= moment - crash < DOWN_SECONDS for crash in self.crashes)


class Server:
    """The server, which can be killed and started again."""

    def __init__(self, made: Registry) -> None:
        self.registry = made
        self.process: Popen[bytes] | None = None

    def start(self) -> None:
        """Serve."""
        self.process = self.registry.start()

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        return [] if self.process is None else psutil.Process(self.process.pid).children()

    def kill_worker(self) -> None:
        """End one worker; the master starts another."""
        self.workers[0].kill()

    def kill_master(self) -> None:
        """End the first process, and start anew."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.start()

    def wait(self) -> None:
        """Wait until requests are served again, and by this process: it has workers once the port is its own."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException):
                if self.workers and self.registry.call("GET", "/readyz").status == 200:
                    return
            time.sleep(0.05)
        raise SystemExit(f"The server did not come back:\n{self.registry.log[-2000:]}")

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)


@contextmanager
def running(folder: Path, url: str = "") -> Iterator[Server]:
    """A server on the database `url`, or on an embedded one."""
    server = Server(registry.new(folder, url))
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def run(name: str, server: Server, kills: dict[str, Callable[[], None]], number: int) -> Account:
    """Kill `number` times in each way while clients are at it, then ask the registry for everything it acknowledged."""
    account = Account(name)
    stop = threading.Event()
    clients = [Client(n, server.registry, stop) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for turn in range(number):
            for what, kill in kills.items():
                time.sleep(0.3 + 0.07 * (turn % 5))
                begun = time.monotonic()
                if what == "database":
                    account.crashes.append(begun)
                kill()
                server.wait()
                seconds = time.monotonic() - begun
                account.kills[what] = account.kills.get(what, 0) + 1
                account.slowest_return = max(account.slowest_return, seconds)
                say(f"{name}: {turn + 1} of {number}, killed the {what}, served again after {seconds:.1f} s")
        time.sleep(0.5)
    finally:
        stop.set()
        for client in clients:
            client.join(timeout=30)
    server.wait()
    say(f"{name}: asking for everything that was acknowledged")
    for client in clients:
        account.sent += client.known.sent.total()
        account.acknowledged += client.known.acknowledged.total()
        account.checked += len(client.known.active) + len(client.known.revoked) + len(client.known.performance)
        account.fail("wrong answers", *client.known.wrong)
    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(lambda client: verify(client, server.registry, account), clients))
    audit(clients, server.registry, account)
    return account


def served(ask: Callable[[], Answer]) -> Answer:
    """What `ask` gives back, asked again while it is 503: one worker notices later than another what is well again."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while (answer := ask()).status == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


def verify(client: Client, made: Registry, account: Account) -> None:
    """Hold what one client was told against what the registry says now."""
    known = client.known
    rows = served(lambda: made.call("GET", "/_/token", **client.bearer)).json()["data"]
    listed = {row["name"]: row["active"] for row in rows}
    with closing(made.connect()) as connection:

        def is_usable(credential: str) -> bool:
            asked = {"token": credential}
            answer = served(lambda: send(connection, "POST", "/introspect", asked, **client.bearer))
            return bool(answer.json()["active"])

        for name, active in known.active.items():
            if listed.get(name) != active or is_usable(known.values[name]) != active:
                account.fail("lost", name)
        account.fail(
            "resurrected", *(name for name, value in known.revoked.items() if name in listed or is_usable(value))
        )
        account.fail("lost", *(token[-12:] for token in known.performance if not is_usable(token)))


def audit(clients: list[Client], made: Registry, account: Account) -> None:
    """Hold rows against audit events, and counts against what was acknowledged and what was sent.

    Uses are the one thing of which a crash of PostgreSQL may lose the last half second.
    """
    census = (ROOT / "tests" / "chaos" / "census.py").read_text()
    found = orjson.loads(made.manage("shell", "-v", "0", "-c", census))
    if found["mismatches"]:
        account.fail("audit", f"{found['mismatches']} rows whose events are not theirs")
    for what, verb in (("updates", "update"), ("uses", "exchange"), ("performance", "mint")):
        low = sum(client.known.acknowledged[verb] for client in clients)
        high = sum(client.known.sent[verb] for client in clients)
        if what == "uses":
            low -= sum(account.may_be_uncounted(at) for client in clients for at in client.known.exchanged_at)
        # `init --demo` may have made one more.
        if not low <= found[what] <= high + 1:
            account.fail("lost" if found[what] < low else "resurrected", f"{what}: {found[what]} of {low} to {high}")


def on_sqlite(number: int) -> Account:
    """The account of the embedded database."""
    with tempfile.TemporaryDirectory(prefix="registry-chaos-") as name, running(Path(name)) as server:
        return run("SQLite", server, {"worker": server.kill_worker, "master": server.kill_master}, number)


def on_postgres(number: int) -> Account:
    """The account of PostgreSQL."""
    with ExitStack() as stack:
        database: Cluster = stack.enter_context(cluster())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-chaos-")))
        server = stack.enter_context(running(folder, database.url))

        def kill_database() -> None:
            database.kill()
            time.sleep(DOWN_SECONDS)
            database.start()

        kills = {"worker": server.kill_worker, "master": server.kill_master, "database": kill_database}
        return run("PostgreSQL", server, kills, number)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 — what it is for


def show(account: Account) -> None:
    """Print one account."""
    kills = ", ".join(f"{number} of the {what}" for what, number in account.kills.items())
    rows = {
        "kills": kills,
        "operations": account.sent,
        "acknowledged": account.acknowledged,
        "checked": account.checked,
        "lost": account.count("lost"),
        "resurrected": account.count("resurrected"),
        "audit events": "match" if not account.count("audit") else "; ".join(account.failures["audit"]),
        "wrong answers": account.count("wrong answers"),
        "slowest return": f"{account.slowest_return:.1f} s",
    }
    say(account.database)
    for what, value in rows.items():
        say(f"  {what:<15}{value}")
    for what, details in account.failures.items():
        for detail in details[:5]:
            print(f"  {what}: {detail}", file=sys.stderr)  # noqa: T201 — what it is for


def main() -> int:
    """Exit code 0 when nothing was lost, nothing rose again and the audit log tells of everything, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=5, help="how often each thing is killed (default: 5)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="one of them alone (default: both)")
    parser.add_argument("--limit", type=int, default=LIMIT_MINUTES, help="minutes it may take (default: %(default)s)")
    options = parser.parse_args()
    # Whoever ends this early leaves nothing behind either.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    signal.signal(signal.SIGALRM, lambda number, frame: sys.exit(f"Ended unfinished after {options.limit} minutes."))
    signal.alarm(60 * options.limit)
    accounts = []
    databases = {"sqlite": on_sqlite, "postgresql": on_postgres}
    for name in [options.database] if options.database else databases:
        accounts.append(databases[name](options.kills))
        show(accounts[-1])
    return int(any(any(account.failures.values()) for account in accounts))


if __name__ == "__main__":
    sys.exit(main())
