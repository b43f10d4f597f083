"""The cursor that has statements prepared: PostgreSQL takes longer to parse and plan most than to run them."""

from typing import Any

from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.errors import FeatureNotSupported, OperationalError

from tokens.core.postgresql import Repeated


class Cursor(ServerBindingCursor):
    """Has `Repeated` statements prepared (PREPARE), and no others: one plan for all values may not suit each of them.

    psycopg prepares nothing where `prepare_threshold` is None.
    """

    def execute(self, query: Any, params: Any = None, *, prepare: bool | None = None, **options: Any) -> Any:
        """Run `query`. Raises `OperationalError` when a migration has changed what a prepared statement gives back."""
        is_repeated = isinstance(query, Repeated)
        try:
            wanted = is_repeated if prepare is None else prepare
            return super().execute(query, params, prepare=wanted, **options)  # type: ignore[misc]  # untyped
        except FeatureNotSupported as exc:
            if not is_repeated:
                raise
            # "cached plan must not change result type": the next connection plans anew.
            self.connection.close()  # type: ignore[attr-defined]  # likewise
            raise OperationalError("The tables have changed.") from exc
