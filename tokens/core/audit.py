"""The audit log: who did what to which object. `record` is its only writer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from django.db import transaction
from django.utils import timezone

from tokens.core import prepared
from tokens.core.models import AuditEvent, Recorded
from tokens.core.operations import metrics


class Action(StrEnum):
    """The base of each app's actions, whose values follow the grammar `app:subject:verb`."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for something, and by which way.

    `kind` is what the actor is (`operator`, `named_token`, `publisher`, `command`, `public`, `system`), `channel` the
    way (`api`, `admin`, `command`, `system`).
    """

    kind: str
    channel: str
    id: str = ""
    label: str = ""
    address: str | None = None
    request_id: str = ""


class Subject(Protocol):
    """What an event can be about: a `Recorded` row, or something without a row that names itself in the same words."""

    @property
    def kind(self) -> str:
        """The kind of credential."""

    @property
    def pk(self) -> Any:
        """The id of the row."""

    @property
    def audit_fields(self) -> tuple[str, ...]:
        """The fields that an event shows."""


SYSTEM = Actor(kind="system", channel="system", label="system")


def snapshot(row: Subject) -> dict[str, Any]:
    """The fields of `row` that an audit event may show, as JSON values."""
    values = ((name, getattr(row, name)) for name in row.audit_fields)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values}


def record(
    action: Action,
    row: Subject,
    *,
    actor: Actor,
    before: Mapping[str, Any] | None = None,
    reason: str = "",
    now: datetime | None = None,
) -> AuditEvent:
    """Store that `actor` did `action` to `row`, inside the transaction that the caller has open.

    `before` is the `snapshot` from before the change, for changes; of both sides only what differs is kept.
    """
    event = _event(action, row, actor=actor, before=before, reason=reason, now=now or timezone.now())
    prepared.insert(event)
    metrics.acted(action)
    return event


def record_new(action: Action, row: Recorded, *, actor: Actor, now: datetime) -> AuditEvent:
    """Store the new `row` and that `actor` made it, both or neither. Raises `IntegrityError`."""
    if row._meta.many_to_many:  # what its event shows of relations is there once the row has an id
        with transaction.atomic():
            prepared.insert(row)
            return record(action, row, actor=actor, now=now)
    event = _event(action, row, actor=actor, before=None, reason="", now=now)
    prepared.insert_both(row, event, reference="object_id")
    metrics.acted(action)
    return event


def record_all(action: Action, rows: Iterable[Subject], *, actor: Actor) -> None:
    """Store that `actor` made each of `rows` when it was created. No metric counts them: they are for a demo."""
    AuditEvent.objects.bulk_create(
        _event(action, row, actor=actor, before=None, reason="", now=getattr(row, "created_at", timezone.now()))
        for row in rows
    )


def _event(
    action: Action, row: Subject, *, actor: Actor, before: Mapping[str, Any] | None, reason: str, now: datetime
) -> AuditEvent:
    after = snapshot(row)
    if before is not None:
        changed = {name for name in after if after[name] != before.get(name)}
        before = {name: before.get(name) for name in sorted(changed)}
        after = {name: after[name] for name in sorted(changed)}
    return AuditEvent(
        at=now,
        action=str(action),
        kind=row.kind,
        object_id=str(row.pk),
        object_label=str(row)[:300],
        actor_kind=actor.kind,
        actor_id=actor.id[:64],
        actor_label=actor.label[:300],
        channel=actor.channel,
        address=actor.address,
        request_id=actor.request_id,
        reason=reason[:300],
        before=before or {},
        after=after,
    )
