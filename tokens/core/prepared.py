"""Statements of the busiest paths, which the ORM writes once: writing one takes it longer than running it.

A query set is made as everywhere else, with a `Slot` in each place where a value will go; what is usable is said in
`Credential.obstacles` alone, for these statements too.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression, RawSQL
from django.db.models.sql import InsertQuery, UpdateQuery
from django.utils.functional import cached_property

from tokens.core.postgresql import Repeated

Model = TypeVar("Model", bound=models.Model)


class Slot(Expression):
    """The place of the value that goes by `name`."""

    def __init__(self, name: str, output_field: "models.Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def like(self, field: "models.Field[Any, Any]") -> "Slot":
        """The same place, its value written as `field` does (a UUID is text in SQLite alone)."""
        return Slot(self.name, field)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """A placeholder, whose parameter is this slot itself."""
        return "%s", (self,)


# The slots that most statements have.
NOW = Slot("now", models.DateTimeField())
FINGERPRINT = Slot("fingerprint", models.CharField())
# By the class of a field: what a database takes as it is. An address must be spelled as `client_address` spells it.
SQLITE: dict[type, type] = {models.CharField: str, models.BooleanField: bool, models.GenericIPAddressField: str}
PLAIN = {"sqlite": SQLITE, "postgresql": SQLITE | {models.DateTimeField: datetime}}


@dataclass(frozen=True, slots=True)
class _Written(Generic[Model]):
    """A statement as the database gets it, and what turns its columns into values."""

    model: type[Model]
    sql: Repeated
    params: tuple[Any, ...]
    converters: Mapping[int, Any]

    def run(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows that it gives back with these `values` in its slots."""
        connection = _connection()
        params = [
            _value(values[param.name], param.output_field, connection) if isinstance(param, Slot) else param
            for param in self.params
        ]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, params)
            rows = cursor.fetchall()
        return [self._converted(row, connection) for row in rows] if self.converters else rows

    def _converted(self, row: tuple[Any, ...], connection: BaseDatabaseWrapper) -> tuple[Any, ...]:
        columns = list(row)
        for position, (functions, expression) in self.converters.items():
            for function in functions:
                columns[position] = function(columns[position], expression, connection)
        return tuple(columns)


class _Statement(ABC, Generic[Model]):
    """A statement that is written when it is run for the first time."""

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        """The columns of all rows that it gives back with these values in its slots."""
        return self._written.run(values)

    @cached_property
    def _written(self) -> _Written[Model]:
        return self._write()

    @abstractmethod
    def _write(self) -> _Written[Model]:
        """Have the ORM write it."""


class Prepared(_Statement[Model]):
    """The statement of the query set that `make()` returns: its columns are those that `values_list` names, or all."""

    def __init__(self, make: Callable[[], "models.QuerySet[Model, Any]"]) -> None:
        self._make = make

    def first(self, **values: Any) -> Model | None:
        """The first row as an instance, or None."""
        rows, model = self.rows(**values), self._written.model
        return model.from_db(DEFAULT_DB_ALIAS, _columns(model), rows[0]) if rows else None

    def _write(self) -> _Written[Model]:
        return _written(self._make())


class PreparedUpdate(_Statement[Model]):
    """`QuerySet.update` with the `RETURNING` that PostgreSQL and SQLite both have.

    Finding a row, judging it and counting its use cannot be torn apart, and no lock outlives the statement. (Where the
    query set joins nothing: PostgreSQL judges a row that it waited for anew, but not what was joined with it.) `make()`
    returns the query set, the fields whose columns each row gives back as it is afterwards, and the updates.

    With `reading` each row goes on with the columns of each row of the query set `reading(id)`, where `id` is in the
    last of the fields: PostgreSQL reads in the same statement and so in one round trip, SQLite in another one.

    One that is not `is_durable` counts something: a crash of PostgreSQL may lose the last half second of it, and nobody
    waits for the disk, least of all with the lock of a row that others are waiting for. It must be its own transaction.
    """

    def __init__(
        self,
        make: Callable[[], "tuple[models.QuerySet[Model, Any], tuple[str, ...], dict[str, Any]]"],
        *,
        is_durable: bool = True,
        reading: "Callable[[Expression], models.QuerySet[Any, Any]] | None" = None,
    ) -> None:
        self._make = make
        self._is_durable = is_durable
        self._reading = reading
        self._read = Prepared(lambda: reading(Slot("id", models.BigIntegerField()))) if reading else None

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        """The columns of all rows that it updates with these values in its slots, and of what is read about them."""
        rows = super().rows(**values)
        if self._read is None or _connection().vendor == "postgresql":
            return rows
        return [(*row, *read) for row in rows for read in self._read.rows(id=row[-1])]

    def _write(self) -> _Written[Model]:
        connection = _connection()
        is_postgresql = connection.vendor == "postgresql"
        query_set, fields, updates = self._make()
        query = cast(UpdateQuery, query_set.query.chain(UpdateQuery))
        query.add_update_values(updates)
        sql, params = query.get_compiler(connection=connection).as_sql()
        columns = [_quoted(query_set.model, name) for name in fields]
        unsynced = [] if self._is_durable or not is_postgresql else ["set_config('synchronous_commit', 'off', true)"]
        sql = f"{sql} RETURNING {', '.join([*columns, *unsynced])}"
        if self._reading is None or not is_postgresql:
            return _Written(query_set.model, Repeated(sql), tuple(params), {})
        read = _written(self._reading(RawSQL(f"updated.{columns[-1]}", ())))  # noqa: S611 — a name of ours, quoted
        shown = ", ".join(f"updated.{column}" for column in columns)
        sql = f"WITH updated AS ({sql}) SELECT {shown}, read.* FROM updated, LATERAL ({read.sql}) AS read"  # noqa: S608 — likewise
        converters = {len(columns) + position: converter for position, converter in read.converters.items()}
        return _Written(query_set.model, Repeated(sql), (*params, *read.params), converters)


def insert(row: models.Model) -> None:
    """Store the new `row`, as `save(force_insert=True)` does but for signals, which nothing here listens to."""
    sql, fields = _insertion(type(row))
    _store(row, _execute(sql, _values(row, fields))[0])


def insert_both(row: models.Model, about: models.Model, *, reference: str) -> None:
    """Store the new `row` and another one about it, whose text field `reference` becomes the id of the first.

    Both or neither are stored: PostgreSQL does it in one statement and so in one round trip, SQLite in a transaction.
    Raises `IntegrityError` and leaves a transaction that the caller has open as it was.
    """
    connection = _connection()
    is_one_statement = connection.vendor == "postgresql"
    with transaction.atomic() if connection.in_atomic_block or not is_one_statement else nullcontext():
        if is_one_statement:
            sql, fields, about_fields = _insertion_of_both(type(row), type(about), reference)
            values = [*_values(row, fields), *_values(about, about_fields)]
            about_id, row_id = _execute(sql, values)
            setattr(about, reference, row_id)
            _store(row, type(row)._meta.pk.to_python(row_id))
            _store(about, about_id)
        else:
            insert(row)
            setattr(about, reference, str(row.pk))
            insert(about)


def _connection() -> BaseDatabaseWrapper:
    """The connection of this thread. Django's `connection` would look for it again at each attribute."""
    return connections[DEFAULT_DB_ALIAS]


def _execute(sql: Repeated, values: Sequence[Any]) -> tuple[Any, ...]:
    """The one row that the statement gives back."""
    with _connection().cursor() as cursor:
        cursor.execute(sql, values)
        row: tuple[Any, ...] = cursor.fetchone()
    return row


def _values(row: models.Model, fields: "Sequence[models.Field[Any, Any]]") -> list[Any]:
    connection = _connection()
    return [_value(field.pre_save(row, add=True), field, connection) for field in fields]


def _value(value: Any, field: "models.Field[Any, Any]", connection: BaseDatabaseWrapper) -> Any:
    """`value` as the database takes it for the column of `field`."""
    is_plain = value is None or type(value) is PLAIN[connection.vendor].get(type(field))
    return value if is_plain else field.get_db_prep_save(value, connection)


def _store(row: models.Model, pk: Any) -> None:
    row.pk = pk
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


@lru_cache(maxsize=32)
def _insertion(
    model: type[models.Model], *, without: str = "", instead: str = ""
) -> "tuple[Repeated, tuple[models.Field[Any, Any], ...]]":
    """The INSERT of one row, which gives its id back, and the fields in its slots.

    The field `without` has no slot but the SQL `instead`.
    """
    fields = [field for field in model._meta.local_concrete_fields if not field.primary_key]
    query = InsertQuery(model)
    query.insert_values(fields, [model(**({without: RawSQL(instead, ())} if without else {}))])  # noqa: S611 — our own SQL
    compiler = query.get_compiler(connection=_connection())
    compiler.returning_fields = model._meta.db_returning_fields
    [(sql, _)] = compiler.as_sql()
    return Repeated(sql), tuple(field for field in fields if field.name != without)


@lru_cache(maxsize=32)
def _insertion_of_both(
    model: type[models.Model], about: type[models.Model], reference: str
) -> "tuple[Repeated, tuple[models.Field[Any, Any], ...], tuple[models.Field[Any, Any], ...]]":
    """One INSERT of a row and of another about it, which gives the id of the second back and, as text, of the first."""
    first, fields = _insertion(model)
    instead = f"SELECT {_quoted(model, model._meta.pk.name)}::text FROM stored"  # noqa: S608 — a name of ours, quoted
    second, about_fields = _insertion(about, without=reference, instead=instead)
    return Repeated(f"WITH stored AS ({first}) {second}, {_quoted(about, reference)}"), fields, about_fields


def _written(query_set: "models.QuerySet[Model, Any]") -> _Written[Model]:
    compiler = query_set.query.get_compiler(connection=_connection())
    sql, params = compiler.as_sql()
    expressions = [expression for expression, _, _ in compiler.select]
    return _Written(query_set.model, Repeated(sql), tuple(params), compiler.get_converters(expressions))


def _quoted(model: type[models.Model], name: str) -> str:
    field: models.Field[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]  # a column
    return _connection().ops.quote_name(str(field.column))


@lru_cache(maxsize=32)
def _columns(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]
