"""Copies of the embedded database, made and put back through SQLite's online backup while a server may be running."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from django.db import connection

from tokens.core.errors import AlreadyExists, Forbidden, Invalid, NotFound

# How long a copy waits for somebody who holds the lock of the database.
BUSY_SECONDS = 10


def database_file() -> Path:
    """The file of the embedded database. Raises `Forbidden` where the database is a server."""
    if connection.vendor != "sqlite":
        raise Forbidden("The database is PostgreSQL: use pg_dump and pg_restore, as docs/operations/runbook.md shows.")
    return Path(str(connection.settings_dict["NAME"]))


def backup(target: Path) -> Path:
    """Write a consistent copy of the database to `target`, readable by its owner alone; never half of one.

    Raises `AlreadyExists` when there is such a file, `NotFound` without a database or folder,
    `Forbidden` on PostgreSQL.
    """
    source = database_file()
    if not source.is_file():
        raise NotFound(f"There is no database at {source}.")
    if target.exists():
        raise AlreadyExists(f"{target} is there already; name another file.")
    if not target.parent.is_dir():
        raise NotFound(f"There is no folder {target.parent}.")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_opened(source)) as live, closing(sqlite3.connect(partial)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        check(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.link(partial, target)
    except FileExistsError:
        raise AlreadyExists(f"{target} is there already; name another file.") from None
    finally:
        partial.unlink(missing_ok=True)
    return target


def restore(source: Path, *, keep: Path) -> None:
    """Put the copy `source` in place of the database, whose own contents go to the file `keep` first.

    A server that is running goes on with what was restored. Raises `NotFound`, `Invalid` for what is no intact copy of
    a registry, `Forbidden` on PostgreSQL, `AlreadyExists` when there is a file `keep`.
    """
    target = database_file()
    if not source.is_file():
        raise NotFound(f"There is no file {source}.")
    check(source)
    if target.is_file():
        backup(keep)
    with closing(_opened(source)) as copy, closing(sqlite3.connect(target, timeout=BUSY_SECONDS)) as live:
        copy.backup(live)
        live.execute("PRAGMA journal_mode=WAL")
    target.chmod(0o600)


def check(path: Path) -> None:
    """Raise `Invalid` unless `path` is an intact database of a registry."""
    try:
        with closing(_opened(path)) as database:
            (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as exc:
        raise Invalid("file", f"{path} is not a database ({exc}).") from None
    if verdict != "ok":
        raise Invalid("file", f"{path} is damaged: {verdict}.")
    if not {"django_migrations", "tokens_auditevent"} <= names:
        raise Invalid("file", f"{path} is not the database of a registry.")


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
