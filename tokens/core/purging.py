"""Deleting rows that nobody needs any more, while the server goes on serving."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.template.defaultfilters import pluralize

from tokens.core import audit
from tokens.core.audit import Action, Actor
from tokens.core.locks import only_one

# How long a purge rests after each batch, as a multiple of what that took: others want the database as well.
REST = 2


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did: an audit event is about it, because the rows are gone.

    `label` names them; the moment of each, whichever counts for their `kind`, lies before `older_than`.
    """

    kind: str
    label: str
    older_than: datetime
    deleted: int
    pk: ClassVar[str] = ""
    audit_fields: ClassVar[tuple[str, ...]] = ("deleted", "older_than")

    def __str__(self) -> str:
        return self.label


def purge(
    rows: QuerySet[Any],
    *,
    kind: str,
    older_than: datetime,
    action: Action,
    actor: Actor,
    batch: int,
    max_seconds: float | None = None,
    progress: Callable[[int], None] = lambda _: None,
    now: datetime | None = None,
) -> Purged:
    """Delete `rows`, which are of `kind` and from before `older_than`, `batch` of them in each transaction.

    It ends when none is left or, between two batches, after `max_seconds`; `progress` is told of each batch. One audit
    event tells of it all, also where something ends it before. Raises `Forbidden` while another purge runs.
    """
    end = None if max_seconds is None else time.monotonic() + max_seconds
    done, last = 0, batch
    with only_one("purge", refusal="Another purge is running."):
        try:
            while last and (end is None or time.monotonic() < end):
                begun = time.monotonic()
                last = delete(rows[:batch])
                done += last
                progress(last)
                if last == batch:
                    time.sleep(REST * (time.monotonic() - begun))
        finally:
            purged = Purged(kind, counted(rows, done), older_than, done)
            if done:
                audit.record(action, purged, actor=actor, now=now)
    return purged


def counted(rows: QuerySet[Any], number: int) -> str:
    """So many of `rows`, in words."""
    return f"{number} {rows.model._meta.verbose_name}{pluralize(number)}"


def delete(rows: QuerySet[Any]) -> int:
    """Delete `rows`, which may be a slice, in one transaction. Returns how many it were."""
    number, _ = rows.model._default_manager.filter(pk__in=rows.values("pk")).delete()
    return int(number)
