"""Locks that all processes of a registry share, for work of which two at a time would be one too many."""

import fcntl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from tokens.core.errors import Forbidden


@contextmanager
def only_one(name: str, *, refusal: str) -> Iterator[None]:
    """Hold the lock `name` for as long as the context lasts. Raises `Forbidden` with `refusal` while another has it.

    On PostgreSQL it is an advisory lock of the session, beside SQLite a lock on a file; either goes with its process.
    """
    with _advisory_lock(name) if connection.vendor == "postgresql" else _file_lock(name) as is_ours:
        if not is_ours:
            raise Forbidden(refusal)
        yield


@contextmanager
def _advisory_lock(name: str) -> Iterator[bool]:
    number = zlib.crc32(name.encode())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


@contextmanager
def _file_lock(name: str) -> Iterator[bool]:
    with Path(f"{connection.settings_dict['NAME']}.{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
