"""The verbs of performance tokens and of the publishers that fetch them."""

import logging
import secrets
import string
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import Exists, QuerySet
from django.utils import timezone

from podcast_perf.models import PerformanceToken, Publisher
from tokens.core import audit, kinds, lifecycle, purging
from tokens.core.audit import Actor
from tokens.core.errors import AlreadyExists, Invalid, InvalidCredential, NotFound
from tokens.core.kinds import Description
from tokens.core.lifecycle import Minted
from tokens.core.models import AuditEvent, digest, is_opaque, is_same, preview_of
from tokens.core.prepared import FINGERPRINT, NOW, Prepared
from tokens.core.purging import Purged
from tokens.core.signing import KeyRing, hmac_ring, unverified_claims
from tokens.core.times import later

UPDATABLE = {"name", "is_active", "starts_at", "expires_at", "allowed_networks"}
# On every so many mints of a process so many tokens go that expired long ago.
SWEEP_EVERY, SWEPT = 100, 200
# How long after its expiry `purge_tokens` keeps a token unless it is told otherwise.
KEPT = timedelta(days=30)
MAX_HOURS = 24 * 366  # of a token that an operator mints
BASE36 = string.digits + string.ascii_lowercase

log = logging.getLogger(__name__)
_minted = count(1)


class Action(audit.Action):
    """What is done to performance tokens and publishers."""

    MINT = "podcast_perf:performance_token:mint"
    REVOKE = "podcast_perf:performance_token:revoke"
    PURGE = "podcast_perf:performance_token:purge"
    ADD_PUBLISHER = "podcast_perf:publisher:add"
    UPDATE_PUBLISHER = "podcast_perf:publisher:update"
    ROTATE_PUBLISHER = "podcast_perf:publisher:rotate"
    REVOKE_PUBLISHER = "podcast_perf:publisher:revoke"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever presented a known X-PUB-KEY. `publisher` is None for the key in `PERFORMANCE_PUBLIC_KEY`.

    `is_previous` tells that the key has been rotated out and is in its grace.
    """

    publisher: Publisher | None
    label: str
    is_previous: bool = False


def ring() -> KeyRing:
    """The keys of performance tokens, whose documented header has no `kid`. Raises `NotConfigured`."""
    return hmac_ring("PERFORMANCE_SECRET_KEY", with_kid=False)


def holder_of(raw_key: str, *, address: str | None = None, now: datetime | None = None) -> Holder:
    """Who holds the X-PUB-KEY `raw_key`: the settings' or a usable publisher. Raises `InvalidCredential`."""
    if _is_in_settings(raw_key):
        return Holder(None, "PERFORMANCE_PUBLIC_KEY")
    if raw_key:
        with suppress(InvalidCredential):
            description = verify_publisher(raw_key, now or timezone.now())
            publisher = description.row
            if isinstance(publisher, Publisher) and publisher.allows(address):
                return Holder(publisher, publisher.name, is_previous=description.is_previous)
    raise InvalidCredential("The key is absent, empty or unknown.")


def mint(
    *, actor: Actor, holder: Holder | None, hours: str | None = None, is_admin: bool = True, now: datetime | None = None
) -> Minted[PerformanceToken]:
    """Store the claims of a fresh token and sign it: an admin's, or a listener's for feeds and players.

    `hours` is the lifetime as the text that becomes the claim `d`; `EXPIRES_IN` when None. Raises `NotConfigured`.
    """
    now = now or timezone.now()
    keys = ring()
    duration = hours or settings.EXPIRES_IN
    token = PerformanceToken(
        serial=f"{base36(int(now.timestamp() * 1000))}-{secrets.token_hex(8)}",
        duration=duration,
        is_admin=is_admin,
        publisher=holder.publisher if holder else None,
        created_at=now,
        expires_at=later(now, timedelta(hours=float(duration))),
    )
    value = keys.sign(token.claims())
    lifecycle.insert(token, Action.MINT, actor=actor, taken="The serial is taken.", now=now)
    if holder is not None and holder.publisher is not None:
        lifecycle.note_use(holder.publisher, is_previous=holder.is_previous, now=now)
    if next(_minted) % SWEEP_EVERY == 0:
        sweep(now=now)
    return Minted(token, value)


def revoke(serial: str, *, actor: Actor, reason: str = "", now: datetime | None = None) -> PerformanceToken:
    """End the token whose `s` is `serial`. Revoking it again changes nothing. Raises `NotFound`."""
    rows = PerformanceToken.objects.filter(serial=serial)
    missing = f"There is no performance token {serial!r}."
    return lifecycle.revoke(rows, Action.REVOKE, actor=actor, missing=missing, reason=reason, now=now or timezone.now())


def expired_before(moment: datetime) -> QuerySet[PerformanceToken]:
    """The tokens that had expired at `moment`, revoked ones too."""
    return PerformanceToken.objects.filter(expires_at__lt=moment).order_by("expires_at")


def is_purge_overdue(*, now: datetime) -> bool:
    """Whether nobody purged for a week, and tokens are stored that expired a week before even the sweep keeps any.

    Both come from an index. A purge that finds nothing leaves no event, and nothing that would be overdue.
    """
    week = timedelta(days=7)
    purges = AuditEvent.objects.filter(action=Action.PURGE, at__gt=now - week)
    kept = max(timedelta(days=settings.PERFORMANCE_TOKEN_KEEP_DAYS), KEPT)
    return PerformanceToken.objects.filter(~Exists(purges), expires_at__lt=now - kept - week).exists()


def purge(*, actor: Actor, older_than: timedelta, now: datetime | None = None, **pace: Any) -> Purged:
    """Delete the tokens that expired more than `older_than` ago, at the pace that `purging.purge` describes."""
    moment = (now or timezone.now()) - older_than
    rows, kind = expired_before(moment), PerformanceToken.kind
    return purging.purge(rows, kind=kind, older_than=moment, action=Action.PURGE, actor=actor, now=now, **pace)


def sweep(*, now: datetime) -> int:
    """Delete a few tokens that expired long ago, so that a registry that nobody purges is bounded all the same.

    It deletes more than are made from one sweep to the next. Failing costs nobody the token that was just minted.
    """
    if not settings.PERFORMANCE_TOKEN_KEEP_DAYS:
        return 0
    old = expired_before(now - timedelta(days=settings.PERFORMANCE_TOKEN_KEEP_DAYS))
    skips = connection.features.has_select_for_update_skip_locked
    try:
        with transaction.atomic():
            return purging.delete(old.select_for_update(skip_locked=skips)[:SWEPT])
    except Error as exc:
        log.warning("sweeping old performance tokens failed (%s)", type(exc).__name__)
        return 0


def add_publisher(
    name: str,
    *,
    actor: Actor,
    raw_key: str | None = None,
    is_active: bool = True,
    starts_at: datetime | None = None,
    expires_at: datetime | None = None,
    allowed_networks: list[str] | None = None,
    now: datetime | None = None,
) -> Minted[Publisher]:
    """A publisher and, this once, its key: `raw_key`, which it has already, or a fresh one.

    A revoked publisher leaves its name to it. Raises `AlreadyExists` when name or key is taken, and `Invalid`.
    """
    now = now or timezone.now()
    lifecycle.check_order(starts_at, expires_at, field="expires_at")
    if raw_key:
        _check_brought(raw_key)
    key = raw_key or fresh_key()
    publisher = Publisher(
        name=name,
        key_hash=digest(key),
        preview=preview_of(key),
        is_active=is_active,
        starts_at=starts_at,
        expires_at=lifecycle.effective_expiry(expires_at, setting="PUBLISHER", field="expires_at", now=now),
        allowed_networks=[] if allowed_networks is None else allowed_networks,
        created_at=now,
    )
    taken = "There is a publisher of that name or key already."
    with transaction.atomic():
        _leave_name(name, actor=actor, now=now)
        return Minted(lifecycle.insert(publisher, Action.ADD_PUBLISHER, actor=actor, taken=taken, now=now), key)


def update_publisher(publisher: Publisher, *, actor: Actor, now: datetime | None = None, **changes: Any) -> Publisher:
    """Change `name`, `is_active`, `starts_at`, `expires_at`, `allowed_networks` of a publisher.

    A revoked publisher leaves its name to it. Raises `AlreadyExists` for a taken name, and `Invalid`.
    """
    now = now or timezone.now()
    if "expires_at" in changes:
        lifecycle.check_lifetime(changes["expires_at"], setting="PUBLISHER", field="expires_at", now=now)
    with transaction.atomic():
        if changes.get("name", publisher.name) != publisher.name:
            _leave_name(changes["name"], actor=actor, now=now)
        return _change(publisher, {name: changes[name] for name in changes.keys() & UPDATABLE}, actor=actor, now=now)


def _leave_name(name: str, *, actor: Actor, now: datetime) -> None:
    """Have a revoked publisher leave `name` to another: its own gets a remark."""
    revoked = None if "\0" in name else Publisher.objects.filter(name=name, revoked_at__isnull=False).first()
    if revoked is not None:
        _change(revoked, {"name": f"{name[:220]} (revoked, id {revoked.pk})"}, actor=actor, now=now)


def _change(publisher: Publisher, changes: dict[str, Any], *, actor: Actor, now: datetime) -> Publisher:
    taken = "There is a publisher of that name already."
    return lifecycle.change_row(publisher, Action.UPDATE_PUBLISHER, changes, actor=actor, taken=taken, now=now)


def publisher_of(name: str) -> Publisher:
    """The publisher of that name, in whatever state. Raises `NotFound`."""
    publisher = None if "\0" in name else Publisher.objects.filter(name=name).first()
    if publisher is None:
        raise NotFound(f"There is no publisher named {name!r}.")
    return publisher


def revoke_publisher(publisher: Publisher, *, actor: Actor, reason: str = "", now: datetime | None = None) -> Publisher:
    """End a publisher's key for good. Revoking it again changes nothing."""
    return lifecycle.revoke_row(publisher, Action.REVOKE_PUBLISHER, actor=actor, reason=reason, now=now)


def rotate_publisher(
    publisher: Publisher, *, actor: Actor, grace: timedelta = lifecycle.DEFAULT_GRACE, now: datetime | None = None
) -> Minted[Publisher]:
    """Give a publisher a new key, shown once; the old one stays good for `grace`. Raises `Invalid` and `Forbidden`."""
    return lifecycle.rotate_row(publisher, fresh_key(), Action.ROTATE_PUBLISHER, actor=actor, grace=grace, now=now)


def find(raw: str) -> PerformanceToken | None:
    """The row of a genuine token, in whatever state. Raises `InvalidCredential` for what was not signed here."""
    return PerformanceToken.objects.filter(serial=_serial(raw)).first()


def verify(raw: str, now: datetime) -> Description:
    """The usable token that `raw` is. Raises `InvalidCredential`.

    What was not signed here costs a look-up like any other, so that the time tells nothing.
    """
    try:
        serial = _serial(raw)
    except InvalidCredential:
        serial = ""
    token = PerformanceToken.objects.filter(serial=serial).first()
    if token is None or not token.is_usable(now=now):
        raise InvalidCredential("The token is not usable.")
    claims = token.claims()
    described: dict[str, Any] = {
        "sub": claims["s"],
        "iat": claims["iat"],
        "exp": claims["exp"],
        "scope": "admin" if token.is_admin else "listener",
    }
    return Description(kind=PerformanceToken.kind, token_type="JWT", claims=described, row=token)  # noqa: S106 — a type


def _serial(raw: str) -> str:
    """The `s` of a genuine token, empty if it makes no sense. Others sign with that secret, too."""
    serial = ring().verify(raw).get("s")
    return serial if isinstance(serial, str) and serial.isprintable() else ""


def find_publisher(raw: str) -> Publisher | None:
    """The publisher whose key is or was `raw`, in whatever state."""
    return Publisher.objects.filter(Publisher.had(digest(raw))).any()


PRESENTED = Prepared(
    lambda: Publisher.objects.usable(now=NOW).filter(Publisher.presented(FINGERPRINT, now=NOW)).order_by()
)


def verify_publisher(raw: str, now: datetime) -> Description:
    """The usable publisher whose key is `raw`. Raises `InvalidCredential`."""
    fingerprint = digest(raw)
    publisher = PRESENTED.first(fingerprint=fingerprint, now=now)
    is_current = publisher is not None and is_same(publisher.key_hash, fingerprint)
    is_previous = publisher is not None and is_same(publisher.previous_fingerprint or "", fingerprint)
    if publisher is None or not (is_current or is_previous):
        raise InvalidCredential("The key is not usable.")
    claims: dict[str, Any] = {"sub": publisher.name, "client_id": publisher.name, "scope": "mint"}
    ends_at = publisher.ends_at(is_previous=is_previous)
    if ends_at is not None:
        claims["exp"] = int(ends_at.timestamp())
    return Description(Publisher.kind, "X-PUB-KEY", claims, row=publisher, is_previous=is_previous)


def _is_in_settings(raw_key: str) -> bool:
    """Whether `raw_key` is the key in `PERFORMANCE_PUBLIC_KEY`."""
    known = settings.PERFORMANCE_PUBLIC_KEY
    return bool(known) and is_same(digest(raw_key), digest(known))


def _check_brought(raw_key: str) -> None:
    """Whether a key that somebody has already can be a publisher's. Raises `Invalid` and `AlreadyExists`."""
    if raw_key != raw_key.strip():
        raise Invalid("key", "key: must not begin or end with a blank; no header carries one.")
    if not is_opaque(raw_key):
        raise Invalid("key", "key: must have at most 1024 characters, and not be a signed token.")
    if _is_in_settings(raw_key):
        raise AlreadyExists("That key is the one in PERFORMANCE_PUBLIC_KEY.")
    lifecycle.check_unknown(Publisher, digest(raw_key))


def fresh_key() -> str:
    """A new X-PUB-KEY."""
    return secrets.token_urlsafe(20)


def base36(number: int) -> str:
    """A positive number in base 36, digits before letters."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = BASE36[rest] + digits
    return digits


KINDS = (
    kinds.Kind(
        name=PerformanceToken.kind,
        label="Performance token",
        looks_like=lambda raw: "s" in unverified_claims(raw),
        verify=verify,
        find=find,
        revoke=partial(lifecycle.revoke_row, action=Action.REVOKE),
        model=PerformanceToken,
        notifies=False,  # they live for hours
    ),
    kinds.Kind(
        name=Publisher.kind,
        label="Publisher key",
        looks_like=is_opaque,
        verify=verify_publisher,
        find=find_publisher,
        revoke=revoke_publisher,
        model=Publisher,
    ),
)
