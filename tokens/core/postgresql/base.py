"""The connections of requests to PostgreSQL.

Django's pool makes each request wait until its time is up while the server is away, so that a handful of them block
every thread, those included that could refresh tokens without a database. And after a restart of the server it hands
out the connections that broke meanwhile, one failed request each. This asks neither of a request.
"""

import select
import threading
import time
from typing import Any, Self

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.utils import OperationalError

# How long a failed attempt to connect speaks for all others, and how long one that is under way does.
AWAY_SECONDS, TRYING_SECONDS = 0.5, 2.0
# How long a migration waits for a table: every request that needs the table waits behind it meanwhile.
LOCK_MILLISECONDS = 800


class Gate:
    """Whether it is worth trying to connect, as this process knows. After a failure one request at a time finds out."""

    def __init__(self) -> None:
        self._closed_until = 0.0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Raise `OperationalError` while closed; afterwards let one in, who opens the gate or closes it again."""
        if not self._closed_until:
            return
        now = time.monotonic()
        with self._lock:
            if now < self._closed_until:
                raise OperationalError("The database was away a moment ago.")
            if self._closed_until:
                self._closed_until = now + TRYING_SECONDS

    def close(self) -> None:
        """Note a failure."""
        self._closed_until = time.monotonic() + AWAY_SECONDS

    def open(self) -> None:
        """Note a success."""
        self._closed_until = 0.0


gate = Gate()


class SchemaEditor(DatabaseSchemaEditor):
    """Changes tables, but does not queue for one that somebody holds: that fails, changes nothing, and is run again."""

    def __enter__(self) -> Self:
        super().__enter__()
        if self.atomic_migration:
            self.limit_waiting()
        return self

    def limit_waiting(self) -> None:
        """Until the end of the transaction, give up (`OperationalError`) after `LOCK_MILLISECONDS` without a lock."""
        self.execute(f"SET LOCAL lock_timeout = '{LOCK_MILLISECONDS}ms'")


class DatabaseWrapper(PostgresWrapper):
    """A connection that comes from the pool alive, or not at all and at once."""

    SchemaEditorClass = SchemaEditor

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that the server has not ended. Raises `OperationalError`."""
        gate.enter()
        try:
            connection = super().get_new_connection(conn_params)
            while self.pool is not None and has_ended(connection):
                connection.close()
                self.pool.putconn(connection)
                connection = super().get_new_connection(conn_params)
        except self.Database.OperationalError:
            gate.close()
            raise
        gate.open()
        return connection


def has_ended(connection: Any) -> bool:
    """Whether the server has hung up: there is something to read that nobody asked for. Costs no round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
