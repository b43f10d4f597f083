"""The connections of requests to PostgreSQL.

Django's pool makes each request wait until its time is up while the server is away, so that a handful of them block
every thread, those included that could refresh tokens without a database. And after a restart of the server it hands
out the connections that broke meanwhile, one failed request each. A server that is there but does not answer keeps
a request for ever. This asks none of it of a request.
"""

import select
import threading
import time
from datetime import UTC
from typing import Any, Self

import psycopg
from django.db.backends.postgresql.base import TIMESTAMPTZ_OID, ServerBindingCursor
from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.backends.postgresql.psycopg_any import get_adapters_template
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.utils import OperationalError
from psycopg.abc import RV, AdaptContext, PQGen
from psycopg.pq import Format, TransactionStatus
from psycopg_pool import ConnectionPool

from tokens.core.postgresql import patience
from tokens.core.postgresql.statements import Cursor

# How long a failed attempt to connect speaks for all others, and how long one that is under way does.
AWAY_SECONDS, TRYING_SECONDS = 0.5, 2.0
# How long a migration waits for a table: every request that needs the table waits behind it meanwhile.
LOCK_MILLISECONDS = 800
# How soon a server that was away has to answer an empty statement to be taken for one that is back.
TRIAL_SECONDS = 0.5


class Gate:
    """Whether it is worth trying to connect, as this process knows. After a failure one request at a time finds out."""

    def __init__(self) -> None:
        self._closed_until = 0.0
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Raise `OperationalError` while closed; afterwards let one in, who opens the gate or closes it again.

        Returns whether this is the one who finds out.
        """
        if not self._closed_until:
            return False
        now = time.monotonic()
        with self._lock:
            if now < self._closed_until:
                raise OperationalError("The database was away a moment ago.")
            if self._closed_until:
                self._closed_until = now + TRYING_SECONDS
                return True
        return False

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


class Connection(psycopg.Connection[Any]):
    """A connection that waits as long as `patience` says. After that it is closed, and what it was asked is undone.

    (Or done, if that was a COMMIT: nobody can tell. Whoever asked is told that it failed.)
    """

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        """A connection. Raises `OperationalError`.

        What psycopg raises would hold on to the attempt that has failed, and its socket, until the next collection of
        garbage: PostgreSQL takes that for a client once it answers again.
        """
        try:
            return super().connect(*args, **kwargs)
        except psycopg.Error as exc:
            raise exc.with_traceback(None)  # noqa: B904 — it is the same one

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """The answer. Raises `OperationalError` when it does not come."""
        try:
            return super().wait(gen, interval=interval, timeout=timeout or patience.patience.seconds)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self._give_up()
            raise

    def _give_up(self) -> None:
        """Have the server end the statement, which may wait for a lock there; close the gate if nobody listens."""
        try:
            self.cancel_safe(timeout=patience.CANCEL_SECONDS)
        except psycopg.Error:
            gate.close()
        self.pgconn.finish()


class UTCLoader:
    """Makes psycopg's own loader of times, in C, which takes a tenth of the time of Django's and says the same in UTC.

    Django asks for the `timezone` of a loader; that one has none, and can have no subclass.
    """

    format = Format.TEXT
    timezone = UTC

    def __new__(cls, oid: int, context: AdaptContext | None = None) -> Any:
        """The loader for one result."""
        return _loader(oid, context)


_loader: Any = psycopg.adapters.get_loader(TIMESTAMPTZ_OID, Format.TEXT)
# What Django makes every connection with whose times are in UTC.
get_adapters_template(True, UTC).register_loader(TIMESTAMPTZ_OID, UTCLoader)


class DatabaseWrapper(PostgresWrapper):
    """A connection that comes from the pool alive, or not at all and at once."""

    SchemaEditorClass = SchemaEditor

    def __init__(self, settings_dict: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(settings_dict, *args, **kwargs)
        pool = settings_dict["OPTIONS"].get("pool")
        if pool:
            pool["connection_class"] = Connection

    def get_connection_params(self) -> dict[str, Any]:
        """What a connection is made with: the cursor that prepares statements, where the server binds values."""
        params: dict[str, Any] = super().get_connection_params()
        if params["cursor_factory"] is ServerBindingCursor:
            params["cursor_factory"] = Cursor
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that the server has not ended. Raises `OperationalError`."""
        is_trial = gate.enter()
        try:
            connection = super().get_new_connection(conn_params)
            while self.pool is not None and has_ended(connection):
                connection.close()
                self.pool.putconn(connection)
                connection = super().get_new_connection(conn_params)
            if is_trial:
                self._try(connection)
                gate.open()
        except self.Database.OperationalError:
            gate.close()
            raise
        return connection

    def _try(self, connection: Any) -> None:
        """Have the server answer; one that was stopped has hung up on nobody. Raises `OperationalError`."""
        try:
            with patience.of(TRIAL_SECONDS):
                ConnectionPool.check_connection(connection)
        except self.Database.OperationalError:
            if self.pool is not None:
                self.pool.putconn(connection)
            raise


def has_ended(connection: Any) -> bool:
    """Whether the server has hung up: there is something to read that nobody asked for. Costs no round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
