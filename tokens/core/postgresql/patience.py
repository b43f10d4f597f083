"""How long a thread waits for an answer of PostgreSQL: for ever, unless its process serves requests.

Settings of a connection cannot say it. A server that was stopped, or a network that swallows packets, keeps connections
open, and the time limits of the server itself run on the server.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# A request that is refused after this, and after `CANCEL_SECONDS` more, has kept nobody waiting for two seconds.
REQUEST_SECONDS = 1.5
# How long to try to tell the server that nobody waits any more.
CANCEL_SECONDS = 0.25


class Patience(threading.local):
    """`seconds` that the current thread waits for the answer to one statement, or None for ever."""

    seconds: float | None = None


patience = Patience()


def limit(seconds: float | None = REQUEST_SECONDS) -> None:
    """From now on let no thread of this process wait longer."""
    Patience.seconds = seconds


@contextmanager
def of(seconds: float) -> Iterator[None]:
    """Let the current thread wait so long meanwhile, if there is a limit at all."""
    before = patience.seconds
    if before is None:
        yield
        return
    patience.seconds = seconds
    try:
        yield
    finally:
        patience.seconds = before
