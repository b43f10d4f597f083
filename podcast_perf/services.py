"""The verbs of performance tokens and of the publishers that fetch them."""

import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from podcast_perf.models import PerformanceToken, Publisher
from tokens.core import audit, kinds
from tokens.core.audit import Actor
from tokens.core.errors import AlreadyExists, InvalidCredential, NotFound
from tokens.core.kinds import Description
from tokens.core.models import Credential, digest, is_same
from tokens.core.signing import KeyRing, hmac_ring

BASE36 = string.digits + string.ascii_lowercase


class Action(audit.Action):
    """What is done to performance tokens and publishers."""

    MINT = "podcast_perf:performance_token:mint"
    REVOKE = "podcast_perf:performance_token:revoke"
    ADD_PUBLISHER = "podcast_perf:publisher:add"
    UPDATE_PUBLISHER = "podcast_perf:publisher:update"
    REVOKE_PUBLISHER = "podcast_perf:publisher:revoke"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever presented a known X-PUB-KEY. `publisher` is None for the key in `PERFORMANCE_PUBLIC_KEY`."""

    publisher: Publisher | None
    label: str


@dataclass(frozen=True, slots=True)
class Minted:
    """A stored performance token and, this once, its signed text."""

    token: PerformanceToken
    value: str

    def __repr__(self) -> str:
        return f"Minted({self.token!r})"


def ring() -> KeyRing:
    """The keys of performance tokens, whose documented header has no `kid`. Raises `NotConfigured`."""
    return hmac_ring(
        settings.PERFORMANCE_SECRET_KEY,
        settings.PERFORMANCE_SECRET_KEY_FALLBACKS,
        setting="PERFORMANCE_SECRET_KEY",
        with_kid=False,
    )


def holder_of(raw_key: str, *, now: datetime | None = None) -> Holder:
    """Who holds the X-PUB-KEY `raw_key`: the settings' or a usable publisher. Raises `InvalidCredential`."""
    key_hash = digest(raw_key)
    if settings.PERFORMANCE_PUBLIC_KEY and is_same(key_hash, digest(settings.PERFORMANCE_PUBLIC_KEY)):
        return Holder(None, "PERFORMANCE_PUBLIC_KEY")
    publisher = Publisher.objects.usable(now=now).filter(key_hash=key_hash).first() if raw_key else None
    if publisher is None or not is_same(key_hash, publisher.key_hash):
        raise InvalidCredential("The key is absent, empty or unknown.")
    return Holder(publisher, publisher.name)


def mint(
    *, actor: Actor, holder: Holder | None, hours: str | None = None, is_admin: bool = True, now: datetime | None = None
) -> Minted:
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
        expires_at=now + timedelta(hours=float(duration)),
    )
    value = keys.sign(token.claims())
    with transaction.atomic():
        token.save(force_insert=True)
        audit.record(Action.MINT, token, actor=actor, now=now)
    return Minted(token, value)


def revoke(serial: str, *, actor: Actor, reason: str = "", now: datetime | None = None) -> PerformanceToken:
    """End the token whose `s` is `serial`. Revoking it again changes nothing. Raises `NotFound`."""
    with transaction.atomic():
        token = PerformanceToken.objects.select_for_update().filter(serial=serial).first()
        if token is None:
            raise NotFound(f"There is no performance token {serial!r}.")
        _revoke(token, Action.REVOKE, actor=actor, reason=reason, now=now or timezone.now())
    return token


def add_publisher(
    name: str, *, actor: Actor, raw_key: str | None = None, now: datetime | None = None
) -> tuple[Publisher, str]:
    """A publisher and, this once, its key: `raw_key`, which it has already, or a fresh one.

    Raises `AlreadyExists` when name or key is taken.
    """
    key = raw_key or secrets.token_urlsafe(20)
    publisher = Publisher(name=name, key_hash=digest(key), preview=key[:5], created_at=now or timezone.now())
    try:
        with transaction.atomic():
            publisher.save(force_insert=True)
            audit.record(Action.ADD_PUBLISHER, publisher, actor=actor, now=now)
    except IntegrityError:
        raise AlreadyExists("There is a publisher of that name or key already.") from None
    return publisher, key


def update_publisher(publisher: Publisher, *, actor: Actor, **changes: Any) -> Publisher:
    """Change `name`, `is_active`, `starts_at`, `expires_at` of a publisher. Raises `AlreadyExists` for a taken name."""
    try:
        with transaction.atomic():
            stored = Publisher.objects.select_for_update().get(pk=publisher.pk)
            before = audit.snapshot(stored)
            for field in changes.keys() & {"name", "is_active", "starts_at", "expires_at"}:
                setattr(stored, field, changes[field])
            if audit.snapshot(stored) != before:
                stored.save()
                audit.record(Action.UPDATE_PUBLISHER, stored, actor=actor, before=before)
    except IntegrityError:
        raise AlreadyExists("There is a publisher of that name already.") from None
    return stored


def find(raw: str) -> PerformanceToken | None:
    """The row of a genuine token, in whatever state. Raises `InvalidCredential` for what was not signed here."""
    serial = ring().verify(raw).get("s")
    return PerformanceToken.objects.filter(serial=serial).first() if isinstance(serial, str) else None


def verify(raw: str, now: datetime) -> Description:
    """The usable token that `raw` is. Raises `InvalidCredential`."""
    token = find(raw)
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


def find_publisher(raw: str) -> Publisher | None:
    """The publisher whose key is `raw`, in whatever state."""
    return Publisher.objects.filter(key_hash=digest(raw)).first()


def verify_publisher(raw: str, now: datetime) -> Description:
    """The usable publisher whose key is `raw`. Raises `InvalidCredential`."""
    publisher = find_publisher(raw)
    if publisher is None or not publisher.is_usable(now=now):
        raise InvalidCredential("The key is not usable.")
    claims = {"sub": publisher.name, "client_id": publisher.name, "scope": "mint"}
    return Description(kind=Publisher.kind, token_type="X-PUB-KEY", claims=claims, row=publisher)  # noqa: S106 — a type


def revoke_row(row: Credential, actor: Actor, reason: str) -> None:
    """End this very token or publisher; one that was revoked before stays as it is."""
    action = Action.REVOKE if isinstance(row, PerformanceToken) else Action.REVOKE_PUBLISHER
    with transaction.atomic():
        stored = type(row).objects.select_for_update().get(pk=row.pk)
        _revoke(stored, action, actor=actor, reason=reason, now=timezone.now())


def _revoke(row: Credential, action: Action, *, actor: Actor, reason: str, now: datetime) -> None:
    if row.revoked_at is not None:
        return
    before = audit.snapshot(row)
    row.revoked_at = now
    row.save(update_fields=["revoked_at"])
    audit.record(action, row, actor=actor, before=before, reason=reason, now=now)


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
        verify=verify,
        find=find,
        revoke=revoke_row,
        model=PerformanceToken,
    ),
    kinds.Kind(
        name=Publisher.kind,
        label="Publisher key",
        verify=verify_publisher,
        find=find_publisher,
        revoke=revoke_row,
        model=Publisher,
    ),
)
