"""How services write: each function stores one change of one row and its audit event together, or neither."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, InternalError, OperationalError, connection, models, transaction
from django.utils import timezone

from tokens.core import audit
from tokens.core.audit import Action, Actor
from tokens.core.errors import AlreadyExists, Forbidden, Invalid, NotFound
from tokens.core.models import Credential, Recorded, RetiredSecret, RotatableCredential, digest, preview_of
from tokens.core.operations import counters
from tokens.core.times import later

log = logging.getLogger(__name__)

# How exact a last use is: a write for each would cost more than it tells.
USE_RESOLUTION = timedelta(minutes=1)
# How long a rotated credential's old secret stays good unless the caller says otherwise, and at most.
DEFAULT_GRACE, MAX_GRACE = timedelta(hours=24), timedelta(days=30)

# What is said of a field in the words of the APIs, by the code that the framework has for it.
WORDS = {"blank": "must not be empty.", "max_length": "must have at most %(limit_value)d characters."}

Row = TypeVar("Row", bound=Recorded)
Ended = TypeVar("Ended", bound=Credential)
Rotated = TypeVar("Rotated", bound=RotatableCredential)


class Minted(NamedTuple, Generic[Row]):
    """A stored credential and, this once, its secret or signed text, which no `repr` shows."""

    row: Row
    secret: str

    def __repr__(self) -> str:
        return f"Minted({self.row!r})"


def insert(row: Row, action: Action, *, actor: Actor, taken: str, now: datetime) -> Row:
    """Store the new `row`. Raises `AlreadyExists` with the sentence `taken` when it is, and `Invalid`."""
    validate(row)
    try:
        audit.record_new(action, row, actor=actor, now=now)
    except IntegrityError:
        raise AlreadyExists(taken) from None
    return row


def change(
    rows: "models.QuerySet[Row]",
    action: Action,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
    missing: str,
    now: datetime,
    reason: str = "",
    taken: str = "That name is taken already.",
) -> Row:
    """Set fields and relations of the one row in `rows`, locked meanwhile, and record what differs, if anything does.

    A row with `updated_at` gets `now` there. Raises `NotFound` with the sentence `missing`, `AlreadyExists` with
    `taken`, and `Invalid`.
    """
    try:
        with transaction.atomic():
            row = _locked(rows, missing=missing)
            before = audit.snapshot(row)
            for name, value in changes.items():
                if row._meta.get_field(name).many_to_many:
                    getattr(row, name).set(value)
                else:
                    setattr(row, name, value)
            if changes.keys() & {"starts_at", "expires_at"}:
                check_order(getattr(row, "starts_at", None), getattr(row, "expires_at", None), field="expires_at")
            if audit.snapshot(row) != before:
                validate(row)
                _save(row, now=now)
                audit.record(action, row, actor=actor, before=before, reason=reason, now=now)
    except IntegrityError:
        raise AlreadyExists(taken) from None
    return row


def change_row(
    row: Row, action: Action, changes: Mapping[str, Any], *, actor: Actor, now: datetime, **told: str
) -> Row:
    """`change` this very row, whatever else has its name by now. `told` may have its `reason` and `taken`."""
    rows, missing = _this(row)
    return change(rows, action, changes, actor=actor, missing=missing, now=now, **told)


def revoke(
    rows: "models.QuerySet[Ended]", action: Action, *, actor: Actor, missing: str, now: datetime, reason: str = ""
) -> Ended:
    """End the one credential in `rows` for good; one that was revoked before stays as it is. Raises `NotFound`."""
    with transaction.atomic():
        row = _locked(rows, missing=missing)
        if row.revoked_at is None:
            before = audit.snapshot(row)
            row.revoked_at = now
            _save(row, now=now)
            audit.record(action, row, actor=actor, before=before, reason=reason, now=now)
    return row


def revoke_row(row: Ended, action: Action, *, actor: Actor, reason: str = "", now: datetime | None = None) -> Ended:
    """End this very credential, whatever else has its name by now. With an `action` given, this is a `Kind.revoke`.

    One that was revoked before stays as it is. Raises `NotFound`.
    """
    rows, missing = _this(row)
    return revoke(rows, action, actor=actor, missing=missing, reason=reason, now=now or timezone.now())


def rotate(
    rows: "models.QuerySet[Rotated]",
    action: Action,
    changes: Mapping[str, Any],
    *,
    actor: Actor,
    missing: str,
    grace: timedelta,
    now: datetime,
) -> Rotated:
    """Give the one credential in `rows` the new fingerprint in `changes`; the old secret stays good for `grace`.

    Raises `NotFound`, `Forbidden` for a revoked credential and `Invalid` for a grace that is negative or over 30 days.
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise Invalid("grace", f"grace: must be between 0 and {MAX_GRACE.days} days.")
    with transaction.atomic():
        row = _locked(rows, missing=missing)
        if row.revoked_at is not None:
            raise Forbidden("What was revoked cannot be rotated.")
        before, kept = audit.snapshot(row), _fingerprints(row)
        rest = dict(changes)
        row.rotate(rest.pop(row.fingerprint_field), grace=grace, now=now)
        for name, value in rest.items():
            setattr(row, name, value)
        _save(row, now=now)
        gone = kept - _fingerprints(row)
        RetiredSecret.objects.bulk_create(
            [RetiredSecret(kind=row.kind, fingerprint=one, retired_at=now) for one in gone], ignore_conflicts=True
        )
        audit.record(action, row, actor=actor, before=before, now=now)
    return row


def rotate_row(
    row: Rotated, secret: str, action: Action, *, actor: Actor, grace: timedelta, now: datetime | None = None
) -> Minted[Rotated]:
    """Give this very credential, stored as digest and preview, the new `secret`. Raises what `rotate` does."""
    rows, missing = _this(row)
    changes = {row.fingerprint_field: digest(secret), "preview": preview_of(secret)}
    now = now or timezone.now()
    return Minted(rotate(rows, action, changes, actor=actor, missing=missing, grace=grace, now=now), secret)


def is_retired(model: type[RotatableCredential], fingerprint: str) -> bool:
    """Whether a secret with this `fingerprint` was rotated away, and no row knows it any more."""
    return RetiredSecret.objects.filter(kind=model.kind, fingerprint=fingerprint).exists()


def check_unknown(model: type[RotatableCredential], fingerprint: str) -> None:
    """Raise `AlreadyExists` when a secret with this `fingerprint`, which somebody brings, is or was one of ours."""
    if model._default_manager.filter(model.had(fingerprint)).exists() or is_retired(model, fingerprint):
        raise AlreadyExists(f"There is, or was, a {model._meta.verbose_name} with that secret already.")


def note_use(row: RotatableCredential, *, is_previous: bool = False, now: datetime) -> None:
    """Count a use of `row`, and remember when it was: by which secret, exact to `USE_RESOLUTION`.

    The number is stored within seconds, with those of other uses: a request need not wait for it. Where a database can
    be read and not written (its disk is full, it is a replica), whoever only reads is served all the same: what cannot
    be remembered is not.
    """
    counters.count_use(row)
    field = "previous_last_used_at" if is_previous else "last_used_at"
    stale, last = now - USE_RESOLUTION, getattr(row, field)
    if last is None or last < stale:
        not_since = models.Q(**{f"{field}__isnull": True}) | models.Q(**{f"{field}__lt": stale})
        try:
            type(row).objects.filter(not_since, pk=row.pk).update(**{field: now})
        except (OperationalError, InternalError) as exc:
            log.warning("a last use cannot be stored (%s)", type(exc).__name__)
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()


def check_order(starts_at: datetime | None, expires_at: datetime | None, *, field: str) -> None:
    """Raise `Invalid`, naming `field`, for what would end before it begins."""
    if starts_at and expires_at and expires_at <= starts_at:
        raise Invalid(field, "The key would end before it begins.")


def effective_expiry(expires_at: datetime | None, *, setting: str, field: str, now: datetime) -> datetime | None:
    """When a new credential ends, None for never: at `expires_at`, or where that is None by `setting`_DEFAULT_LIFETIME.

    Raises `Invalid` as `check_lifetime` does.
    """
    default: timedelta | None = getattr(settings, f"{setting}_DEFAULT_LIFETIME")
    if expires_at is None and default is not None:
        expires_at = later(now, default)
    check_lifetime(expires_at, setting=setting, field=field, now=now)
    return expires_at


def check_lifetime(expires_at: datetime | None, *, setting: str, field: str, now: datetime) -> None:
    """Raise `Invalid`, naming `field`, for what would last longer from `now` than `setting`_MAX_LIFETIME, or for ever.

    Without that setting there is no limit.
    """
    maximum: timedelta | None = getattr(settings, f"{setting}_MAX_LIFETIME")
    if maximum is not None and (expires_at is None or expires_at > later(now, maximum)):
        length = f"{maximum.days} days" if maximum.days else f"{maximum // timedelta(hours=1)} hours"
        raise Invalid(field, f"{field}: must lie within {length}; that is the longest that is allowed here.")


def validate(row: models.Model) -> None:
    """Raise `Invalid` for the first field of `row` whose value its validators refuse. Asks the database nothing."""
    relations = {field.name for field in row._meta.concrete_fields if field.is_relation}
    try:
        row.clean_fields(exclude=relations)
    except ValidationError as exc:
        name, (error, *_) = next(iter(exc.error_dict.items()))
        words = WORDS[error.code] % (error.params or {}) if error.code in WORDS else error.messages[0]
        raise Invalid(name, f"{name}: {words}") from None


def _this(row: Row) -> "tuple[models.QuerySet[Row], str]":
    """The rows that are this one, and the sentence for when there is none."""
    return type(row)._default_manager.filter(pk=row.pk), f"The {row._meta.verbose_name} is gone."


def _locked(rows: "models.QuerySet[Row]", *, missing: str) -> Row:
    row = rows.select_for_update(of=("self",)).first()
    if row is None:
        raise NotFound(missing)
    return row


def _fingerprints(row: RotatableCredential) -> set[str]:
    """Those that a row is found by."""
    found = (getattr(row, row.fingerprint_field), row.previous_fingerprint)
    return {str(fingerprint) for fingerprint in found if fingerprint}


def _save(row: models.Model, *, now: datetime) -> None:
    if hasattr(row, "updated_at"):
        row.updated_at = now
    row.save()
