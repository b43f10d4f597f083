"""The cursor that has statements prepared: PostgreSQL takes longer to parse and plan most than to run them."""

import logging
from typing import Any

from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName, OperationalError

from tokens.core.postgresql import Repeated

log = logging.getLogger(__name__)

# A migration has changed what the statement gives back ("cached plan must not change result type"), or a pooler has put
# another session behind the connection.
GONE = (FeatureNotSupported, InvalidSqlStatementName, DuplicatePreparedStatement)


class Cursor(ServerBindingCursor):
    """Has `Repeated` statements prepared (PREPARE), and no others: one plan for all values may not suit each of them.

    psycopg prepares nothing where `prepare_threshold` is None.
    """

    def execute(self, query: Any, params: Any = None, *, prepare: bool | None = None, **options: Any) -> Any:
        """Run `query`. Raises `OperationalError` when what was prepared is of no use any more."""
        is_repeated = isinstance(query, Repeated)
        wanted = is_repeated if prepare is None else prepare
        try:
            return super().execute(query, params, prepare=wanted, **options)  # type: ignore[misc]  # untyped
        except GONE as exc:
            if not is_repeated:
                raise
            log.warning("a prepared statement is gone (%s); prepare_threshold=none has none made", type(exc).__name__)
            # The next connection prepares it anew.
            self.connection.close()  # type: ignore[attr-defined]  # likewise
            raise OperationalError("A prepared statement is gone.") from exc
