"""What every issuer builds on: the abstract `Credential`, and the tables of audit events, counts and notices."""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from tokens.core.addresses import is_network, is_within
from tokens.core.prepared import Slot
from tokens.core.times import later

# How a JSON object in base64url begins, and so a signed token of three parts (RFC 7515, section 3.1).
SIGNED = "eyJ"


def digest(secret: str) -> str:
    """SHA-256 of a random secret in hex: what is stored in its place (fast is right for 160 random bits)."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def preview_of(secret: str) -> str:
    """The characters of a secret that are kept to know it by: five, or of a short one no more than a third."""
    return secret[: min(5, len(secret) // 3)]


def is_same(first: str, second: str) -> bool:
    """Compare two secrets, or digests of secrets, in constant time."""
    return secrets.compare_digest(first.encode(), second.encode())


def are_networks(value: Any) -> None:
    """Refuse anything but a list of addresses and CIDR ranges (`192.0.2.0/24`, `2001:db8::/32`)."""
    if not isinstance(value, list):
        raise ValidationError("must be a list of networks.")
    for network in value:
        if not isinstance(network, str) or not is_network(network):
            raise ValidationError(f"{network!r} is not a network; write for example 192.0.2.0/24.")


def is_id(raw: str) -> bool:
    """Whether `raw` could be the id of a row: plain digits, no more than fit into 64 bits."""
    return raw.isascii() and raw.isdecimal() and len(raw) < 19


def is_opaque(raw: str) -> bool:
    """Whether `raw` could be a random key, which is found by its digest."""
    return 0 < len(raw) <= 1024 and not (raw.startswith(SIGNED) and raw.count(".") == 2)


@models.CharField.register_lookup
class Begins(models.Lookup):
    """`field__begins="ab"`: the text begins so, capitals and all. Both databases answer it from a `prefix_index`."""

    lookup_name = "begins"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        """A range, which SQLite finds in an index; text there is in the order of its bytes."""
        column, params = self.process_lhs(compiler, connection)
        return f"({column} >= %s AND {column} < %s)", (*params, self.rhs, *params, f"{self.rhs}\U0010ffff")

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[str | int, ...]]:
        """A pattern, which PostgreSQL finds in an index of that class, whatever the order of its collation."""
        column, params = self.process_lhs(compiler, connection)
        return f"{column} LIKE %s", (*params, f"{connection.ops.prep_for_like_query(self.rhs)}%")


def prefix_index(field: str, *, name: str) -> models.Index:
    """An index that finds rows by the beginning of the text `field`, whatever the collation of a PostgreSQL."""
    return models.Index(fields=[field], opclasses=["varchar_pattern_ops"], name=name)


no_controls = RegexValidator(r"\A[^\x00-\x1f\x7f-\x9f]*\Z", "must not contain control characters.")


class State(models.TextChoices):
    """What a credential is at a moment. The order is that of precedence: a revoked key that expired is revoked."""

    REVOKED = "revoked"
    LOCKED = "locked"
    INACTIVE = "inactive"
    PENDING = "pending"
    EXPIRED = "expired"
    ACTIVE = "active"


class Range(NamedTuple):
    """Rows that an index finds one behind another: a condition, and the order that the index has them in.

    An empty order leaves it to the database.
    """

    condition: models.Q
    order: tuple[str, ...] = ()


Row_co = TypeVar("Row_co", bound="Credential", covariant=True)


class CredentialQuerySet(models.QuerySet[Row_co]):
    """Rows by state, through the one predicate of `Credential.obstacles`."""

    def usable(self, *, now: datetime | Slot | None = None) -> Self:
        """The credentials that every door accepts at `now`."""
        return self.in_state(State.ACTIVE, now=now)

    def in_state(self, state: State, *, now: datetime | Slot | None = None) -> Self:
        """The credentials whose state is `state` at `now`."""
        return self.filter(self.model.condition(state, now=now or timezone.now()))

    def any(self) -> Row_co | None:
        """One of the rows, or None. Unlike `first()` it asks for no order, in which SQLite would look at every row."""
        return next(iter(self.order_by()[:1]), None)


class Recorded(models.Model):
    """A row that audit events can be about: they name its `kind`, and show its `audit_fields` (never a secret)."""

    kind: ClassVar[str]
    audit_fields: ClassVar[tuple[str, ...]]

    class Meta:
        abstract = True


class Credential(Recorded):
    """Something that can be presented at a door: minted, used, switched off, expired, revoked, audited.

    Subclasses add what makes theirs recognisable.
    """

    audit_fields: ClassVar[tuple[str, ...]] = ("is_active", "starts_at", "expires_at", "revoked_at")

    created_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    starts_at = models.DateTimeField("valid from", null=True, blank=True)
    expires_at = models.DateTimeField("valid to", null=True, blank=True, db_index=True)
    is_active = models.BooleanField("active", default=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        abstract = True
        # No `delete`: deletion is for the purge.
        default_permissions = ("view", "add", "change", "rotate", "extend", "switch", "revoke")
        indexes = [
            models.Index(fields=["revoked_at", "is_active", "expires_at"], name="%(class)s_state"),
            models.Index(fields=["starts_at"], condition=models.Q(starts_at__isnull=False), name="%(class)s_starts"),
        ]

    @classmethod
    def obstacles(cls, now: datetime | Slot) -> dict[State, models.Q]:
        """What keeps a credential from being usable at `now`, in order of precedence.

        Expired means `now >= expires_at`. Kinds with an owner put the owner's lock in through `locked_by_owner`.
        """
        return {
            State.REVOKED: models.Q(revoked_at__isnull=False),
            **cls.locked_by_owner(),
            State.INACTIVE: models.Q(is_active=False),
            State.PENDING: models.Q(starts_at__isnull=False, starts_at__gt=now),
            State.EXPIRED: models.Q(expires_at__isnull=False, expires_at__lte=now),
        }

    @classmethod
    def condition(cls, state: State, *, now: datetime | Slot) -> models.Q:
        """What holds of the credentials whose state is `state` at `now`, and of no others."""
        condition = models.Q()
        for obstacle, holds in cls.obstacles(now).items():
            if obstacle == state:
                return condition & holds
            condition &= ~holds
        return condition if state == State.ACTIVE else models.Q(pk__in=[])

    @classmethod
    def ranges(cls, state: State, *, now: datetime) -> tuple[Range, ...]:
        """Where an index finds what is in `state`, each row once, whatever else is in the table.

        These are besides `condition`, not in its place: they say nothing of locks, and little of what is pending.
        """
        # SQLite looks no bare `is_active` up in an index, but one that is in a list.
        going = models.Q(revoked_at__isnull=True, is_active__in=[True])
        found = {
            State.REVOKED: [models.Q(revoked_at__isnull=False)],
            State.INACTIVE: [models.Q(revoked_at__isnull=True, is_active__in=[False])],
            State.EXPIRED: [going & models.Q(expires_at__lte=now)],
            State.ACTIVE: [going & models.Q(expires_at__isnull=True), going & models.Q(expires_at__gt=now)],
        }
        if state == State.PENDING:
            return (Range(models.Q(starts_at__gt=now), ("starts_at",)),)
        # All columns of the index: PostgreSQL takes no IS NULL for a constant when it looks for an order.
        order = ("-revoked_at", "-is_active", "-expires_at")
        return tuple(Range(condition, order) for condition in found.get(state, [models.Q()]))

    @classmethod
    def locked_by_owner(cls) -> dict[State, models.Q]:
        """The obstacle that a locked owner is; none for kinds without an owner."""
        return {}

    def is_locked(self) -> bool:
        """Whether the owner of this credential is locked."""
        return False

    @property
    def owner_label(self) -> str:
        """Who it belongs to, in words; empty for kinds without an owner."""
        return ""

    def state_at(self, now: datetime) -> State:
        """The state of this row at `now`: the same answer as `CredentialQuerySet.in_state`, without a query."""
        if self.revoked_at is not None:
            return State.REVOKED
        if self.is_locked():
            return State.LOCKED
        if not self.is_active:
            return State.INACTIVE
        if self.starts_at is not None and self.starts_at > now:
            return State.PENDING
        if self.expires_at is not None and self.expires_at <= now:
            return State.EXPIRED
        return State.ACTIVE

    def allows(self, address: str | None) -> bool:
        """Whether a client at `address` may use this credential; kinds without a list of networks let everybody."""
        return True

    @property
    def state(self) -> State:
        """The state of this row now."""
        return self.state_at(timezone.now())

    def is_usable(self, *, now: datetime | None = None) -> bool:
        """Whether every door accepts this credential at `now`."""
        return self.state_at(now or timezone.now()) == State.ACTIVE

    def contact(self) -> str:
        """The e-mail address of whoever should know that this credential expires; empty where only operators should."""
        return ""


class RotatableCredential(Credential):
    """A credential whose secret can be replaced, the old one going on for a while.

    `fingerprint_field` names the column that a presented secret is found by: a digest, or a signed value's subject.
    Both secrets belong to one row, so that whatever ends or limits the credential ends or limits both.
    """

    fingerprint_field: ClassVar[str]
    audit_fields: ClassVar[tuple[str, ...]] = (
        *Credential.audit_fields,
        *("allowed_networks", "rotated_at", "previous_valid_until"),
    )

    rotated_at = models.DateTimeField(null=True, blank=True, editable=False)
    previous_fingerprint = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001 — unique
    previous_valid_until = models.DateTimeField(null=True, blank=True, editable=False)
    previous_last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    allowed_networks = models.JSONField(default=list, blank=True, validators=[are_networks])
    # The default of the database lets processes of the release before insert rows during an upgrade.
    use_count = models.BigIntegerField(default=0, db_default=0, editable=False)

    class Meta(Credential.Meta):
        abstract = True

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Judge the networks also where Django takes them for left out: `{}` and `""` are no list."""
        super().clean_fields(exclude)
        if not exclude or "allowed_networks" not in exclude:
            try:
                are_networks(self.allowed_networks)
            except ValidationError as exc:
                raise ValidationError({"allowed_networks": exc.messages}) from None

    @classmethod
    def presented(cls, fingerprint: str | Slot, *, now: datetime | Slot) -> models.Q:
        """The row whose secret has this `fingerprint`, or whose previous one has and is in its grace at `now`."""
        field: models.Field[Any, Any] = cls._meta.get_field(cls.fingerprint_field)  # type: ignore[assignment]  # a column
        current = fingerprint.like(field) if isinstance(fingerprint, Slot) else fingerprint
        return models.Q(**{cls.fingerprint_field: current}) | models.Q(
            previous_fingerprint=fingerprint, previous_valid_until__gt=now
        )

    @classmethod
    def had(cls, fingerprint: str) -> models.Q:
        """The row whose secret has or had this `fingerprint`, in whatever state it is."""
        return models.Q(**{cls.fingerprint_field: fingerprint}) | models.Q(previous_fingerprint=fingerprint)

    def rotate(self, fingerprint: str, *, grace: timedelta, now: datetime) -> None:
        """Take another fingerprint; the one until now stays good for `grace`. A still older one ends. Saves nothing."""
        has_grace = grace > timedelta(0)
        self.previous_fingerprint = str(getattr(self, self.fingerprint_field)) if has_grace else None
        self.previous_valid_until = later(now, grace) if has_grace else None
        self.previous_last_used_at = self.last_used_at if has_grace else None
        setattr(self, self.fingerprint_field, fingerprint)
        self.rotated_at, self.last_used_at = now, None

    def ends_at(self, *, is_previous: bool) -> datetime | None:
        """When this credential ends, or the previous secret of it: at its expiry or, earlier, with the grace."""
        ends = [self.expires_at, self.previous_valid_until if is_previous else None]
        return min((end for end in ends if end is not None), default=None)

    def overlap(self, *, now: datetime) -> str:
        """A sentence about the previous secret, as long as that works: until when, and its last use; else nothing."""
        if self.previous_valid_until is None or self.previous_valid_until <= now:
            return ""
        used = self.previous_last_used_at
        words = "was never used" if used is None else f"was last used {used:%Y-%m-%d %H:%M} UTC"
        return f"The old secret works until {self.previous_valid_until:%Y-%m-%d %H:%M} UTC; it {words}."

    def allows(self, address: str | None) -> bool:
        """Whether a client at `address` may use this credential; everybody may where no networks are named."""
        return not self.allowed_networks or is_within(address, self.allowed_networks)


class DailyCount(models.Model):
    """How often something happened on a day, or how much of it there was: what the overview shows without counting."""

    day = models.DateField()
    name = models.CharField(max_length=64)
    count = models.PositiveBigIntegerField(default=0)
    counted_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["name", "day"], name="dailycount_name_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"


class Notice(models.Model):
    """That somebody was told, by one way, that one credential is about to expire, or is being told at this moment."""

    kind = models.CharField(max_length=32)
    object_id = models.CharField(max_length=64)
    expires_at = models.DateTimeField()
    days = models.PositiveSmallIntegerField()
    channel = models.CharField(max_length=16)
    claimed_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["claimed_at"], condition=~models.Q(failure=""), name="notice_failed")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "object_id", "expires_at", "days", "channel"], name="notice_once_by_each_way"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.object_id}, {self.days} days ahead by {self.channel}"


class RetiredSecret(models.Model):
    """The fingerprint of a secret that was rotated away: nobody brings it back as one of another server."""

    kind = models.CharField(max_length=32)
    fingerprint = models.CharField(max_length=64)
    retired_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["kind", "fingerprint"], name="retiredsecret_once")]

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')}, retired {self.retired_at:%Y-%m-%d %H:%M} UTC"


class AuditEvent(models.Model):
    """One thing that was done to one object. Kind, id and label are plain values: history outlives rows."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    action = models.CharField(max_length=64)
    kind = models.CharField(max_length=32)
    object_id = models.CharField(max_length=64)
    object_label = models.CharField(max_length=300)
    actor_kind = models.CharField(max_length=32)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField("actor", max_length=300, blank=True)
    channel = models.CharField(max_length=16)
    address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit log"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["kind", "object_id"], name="auditevent_object"),
            # Each ends with `at`: whatever the log is filtered by, an index has it in the order in which it is shown.
            models.Index(fields=["action", "at"], name="auditevent_by_action"),
            models.Index(fields=["channel", "at"], name="auditevent_by_channel"),
            models.Index(fields=["actor_kind", "actor_id", "at"], name="auditevent_by_actor"),
            prefix_index("object_label", name="auditevent_label"),
            prefix_index("request_id", name="auditevent_request"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(action__contains=":"), name="auditevent_action_grammar"),
        ]

    def __str__(self) -> str:
        _, subject, verb = self.action.split(":", 2)
        return f"{subject} {verb}: {self.object_label}".replace("_", " ")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the event; a stored event is never changed."""
        if not self._state.adding:
            raise TypeError("An audit event cannot be changed.")
        super().save(*args, **kwargs)
