"""Demo rows by the million: thousands of made-up lives, and copies of them that the database makes by itself."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import connection, models, transaction
from django.db.models import F, Value, Window
from django.db.models.functions import Cast, Concat, JSONObject, RowNumber, StrIndex, Substr

from tokens.core import audit
from tokens.core.audit import Action
from tokens.core.models import AuditEvent, Recorded

# How many rows a transaction stores, and how many of them are made here.
BATCH, LIVES = 50_000, 250

Row = TypeVar("Row", bound=Recorded)
# Told of every batch: what is made, how many there are by now, how many there will be.
Progress = Callable[[str, int, int], None]


def life(number: int, place: float, *, now: datetime) -> dict[str, Any]:
    """A made-up life for the demo row `number`: most are usable, some expire soon, expired, were switched off, revoked.

    `place` says when it began, from 0 for 90 days ago to 1 for now. The same number gives the same life.
    """
    chance = random.Random(number)  # noqa: S311 — a demo
    created_at = now - timedelta(days=90 * (1 - place))
    ends_at = now + timedelta(days=chance.uniform(-60, 300))
    fate = chance.random()
    return {
        "created_at": created_at,
        "expires_at": max(ends_at, created_at + timedelta(days=1)) if fate > 0.2 else None,
        "is_active": not 0.05 < fate < 0.1,
        "revoked_at": chance.choice((now, created_at + timedelta(hours=1))) if fate < 0.05 else None,
        "last_used_at": now - timedelta(hours=chance.uniform(0, 200)) if fate > 0.4 else None,
    }


def used_life(number: int, place: float, *, now: datetime) -> dict[str, Any]:
    """The `life` of a credential whose uses are counted."""
    lived = life(number, place, now=now)
    return {**lived, "use_count": number % 977 + 1 if lived["last_used_at"] else 0}


class RandomHex(models.Func):
    """64 random hex digits, for every row others."""

    arity = 0
    output_field = models.CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[str | int, ...]]:
        """32 random bytes."""
        return "lower(hex(randomblob(32)))", ()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[str | int, ...]]:
        """Two random UUIDs."""
        return "replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')", ()


def renumbered(field: str, number: Any) -> Concat:
    """The text before the first dash of `field`, the dash, and `number`."""
    return Concat(Substr(field, 1, StrIndex(F(field), Value("-"))), Cast(number, models.CharField()))


def last(model: type[models.Model]) -> int:
    """The highest id so far. No row of an earlier run has a higher number."""
    return int(model._default_manager.aggregate(last=models.Max("pk"))["last"] or 0)


def store(
    count: int,
    make: Callable[[int, float], Row],
    action: Action,
    *,
    fresh: Callable[[Any], Mapping[str, Any]] | None = None,
    label: Any = "name",
    progress: Progress,
) -> None:
    """Store `count` demo rows, and of each that it was made, in batches of one transaction each.

    `make(number, place)` makes a row that comes at that place, from 0 to 1, among all; with `fresh` it makes `LIVES`
    of each batch, and the others are copies, in which the fields that `fresh(number)` names have the expressions that
    it gives. `label` is what a copy is called in the audit log, which tells of its texts alone. Nobody else may write
    to the table meanwhile.
    """
    model = type(make(0, 0))
    begin, done = last(model), 0
    while done < count:
        size = min(BATCH, count - done)
        with transaction.atomic():
            first, made = last(model), size if fresh is None else min(size, LIVES)
            places = (done + size * place / made for place in range(made))
            rows = [make(begin + done + nth, place / count) for nth, place in enumerate(places, start=1)]
            audit.record_all(action, model._default_manager.bulk_create(rows), actor=audit.SYSTEM)
            while fresh is not None and made < size:
                number = Window(RowNumber(), order_by="pk") + Value(begin + done + made)
                copied = min(made, size - made)
                _copy(model._default_manager.filter(pk__gt=first).order_by("pk")[:copied], fresh(number), action, label)
                made += copied
        done += size
        progress(str(model._meta.verbose_name_plural), done, count)


def _copy(rows: "models.QuerySet[Any]", fresh: Mapping[str, Any], action: Action, label: Any) -> None:
    model, before = rows.model, last(rows.model)
    columns = [field.name for field in model._meta.concrete_fields if not field.primary_key]
    _insert(model, rows, {name: fresh.get(name, F(name)) for name in columns})
    texts = [name for name in model.audit_fields if (name in columns and name in fresh) or name == "preview"]
    event = {
        "at": F("created_at"),
        "action": Value(action.value),
        "kind": Value(model.kind),
        "object_id": Cast("pk", models.CharField()),
        "object_label": F(label) if isinstance(label, str) else label,
        "actor_kind": Value(audit.SYSTEM.kind),
        "actor_label": Value(audit.SYSTEM.label),
        "channel": Value(audit.SYSTEM.channel),
        "after": JSONObject(**{name: F(name) for name in texts}),
        "before": JSONObject(),
        **dict.fromkeys(("actor_id", "request_id", "reason"), Value("")),
    }
    _insert(AuditEvent, model._default_manager.filter(pk__gt=before).order_by("pk"), event)


def _insert(model: type[models.Model], rows: "models.QuerySet[Any]", values: Mapping[str, Any]) -> None:
    """Insert what `values`, by field, are of each of `rows`."""
    quote = connection.ops.quote_name
    fields = {field.name: field.column for field in model._meta.concrete_fields}
    columns = ", ".join(quote(str(fields[name])) for name in values)
    named = {f"value_{place}": value for place, value in enumerate(values.values())}
    sql, params = rows.annotate(**named).values_list(*named).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(model._meta.db_table)} ({columns}) {sql}", params)
