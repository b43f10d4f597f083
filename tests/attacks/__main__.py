"""Attack the project and tell how: `python -m tests.attacks [--seed N]`.

Runs the tests of this folder on SQLite, then Schemathesis with every check it has against all operations of a server
that it starts, and prints how many inputs of which sort were tried. Exits 1 when anything got through.
"""

import argparse
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
os.environ.pop("DATABASE_URL", None)  # a file of their own, whatever the caller's server uses

from tests.attacks import counter
from tests.server import registry

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
# The tests take 40 seconds of an idle machine with two processors; the limit is there for what hangs.
TESTS_SECONDS, SCHEMATHESIS_SECONDS = 600, 40
GENERATED = re.compile(r"([0-9,]+) generated")


def run_tests(folder: Path) -> bool:
    """Whether every attack of this folder was refused; the counts are left in `folder`."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", str(FOLDER)]
    try:
        done = subprocess.run(  # noqa: S603 — our own command
            command, cwd=ROOT, env={**os.environ, counter.FOLDER: str(folder)}, check=False, timeout=TESTS_SECONDS
        )
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"The tests took more than {TESTS_SECONDS} seconds.\n")
        return False
    return done.returncode == 0


@contextmanager
def kept_alive(database: Path) -> Iterator[None]:
    """Give the first named token back what made-up requests take from it: without a bearer they would test nothing.

    It gets another name with it, so that a name that was deleted stays deleted.
    """
    over = threading.Event()
    connection = sqlite3.connect(database, timeout=5, isolation_level=None, check_same_thread=False)
    pk, subject = connection.execute("SELECT id, subject FROM tokens_namedtoken ORDER BY id").fetchone()
    revive = (
        "UPDATE tokens_namedtoken SET name = ?, subject = ?, revoked_at = NULL, is_active = 1, can_write = 1, "
        "expires_at = NULL WHERE id = ? AND (revoked_at IS NOT NULL OR NOT is_active OR NOT can_write "
        "OR expires_at IS NOT NULL OR subject != ?)"
    )

    def keep() -> None:
        while not over.wait(0.3):
            with suppress(sqlite3.Error):
                connection.execute(revive, (f"bearer-{time.monotonic_ns()}", subject, pk, subject))

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        connection.close()


def run_schemathesis(folder: Path, *, seed: int) -> tuple[bool, int]:
    """Whether the server kept to its API description, and the number of requests that `seed` made up."""
    server = registry.new(folder)
    program = str(Path(sys.executable).with_name("schemathesis"))
    options = ["--checks", "all", "--max-examples", "20", "--seed", str(seed), "--max-time", str(SCHEMATHESIS_SECONDS)]
    options += ["--continue-on-failure", "--generation-database", "none", "--no-color", "--request-timeout", "20"]
    options += ["--report", "json", "--report-json-path", str(folder / "report.json")]  # not beside the sources
    secrets = {"ATTACK_BEARER": server.bearer, "ATTACK_PUBLIC_KEY": server.public_key}
    database = folder / "registry.sqlite3"
    with server.serving(), kept_alive(database), (folder / "schemathesis").open("w+") as said:
        try:
            done = subprocess.run(  # noqa: S603 — our own command
                [
                    program,
                    "--config-file",
                    str(FOLDER / "schemathesis.toml"),
                    "run",
                    f"{server.url}/api/schema/",
                    *options,
                ],
                cwd=folder,
                env={**os.environ, **secrets},
                stdout=said,
                stderr=said,
                check=False,
                timeout=SCHEMATHESIS_SECONDS + 60,
            )
            is_refused = done.returncode == 0
        except subprocess.TimeoutExpired:
            is_refused = False
        said.seek(0)
        text = said.read()
    found = GENERATED.search(text)
    if not is_refused or found is None:
        sys.stderr.write(text)
    return is_refused and found is not None, int(found[1].replace(",", "")) if found else 0


def main() -> int:
    """Run both and print the table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description="Attack the project.")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="other requests of Schemathesis (default: 1)")
    seed = parser.parse_args().seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # server and folders go with the attacks
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="registry-attack-") as folder:
        counts, served = Path(folder) / "counts", Path(folder) / "server"
        counts.mkdir()
        served.mkdir()
        is_refused = run_tests(counts)
        keeps_to_schema, generated = run_schemathesis(served, seed=seed)
        tried = counter.read(counts)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("sort of attack")
    table.add_column("inputs", justify="right")
    for sort, inputs in sorted(tried.items()):
        table.add_row(sort, f"{inputs:,}")
    table.add_row("requests made up from the API description", f"{generated:,}")
    table.add_row("all", f"{tried.total() + generated:,}", style="bold")
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table)
    is_good = is_refused and keeps_to_schema and bool(tried)
    end = "Nothing got through." if is_good else "Something got through; see above."
    console.print(f"{end} {time.monotonic() - began:.0f} seconds.", highlight=False)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
