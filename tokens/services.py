"""The verbs of named tokens: mint, update, revoke, read back, verify. API, admin and commands call nothing else."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from tokens.core import audit, kinds
from tokens.core.audit import Actor
from tokens.core.errors import AlreadyExists, InvalidCredential, NotFound
from tokens.core.kinds import Description
from tokens.core.models import Credential
from tokens.core.signing import KeyRing, hmac_ring
from tokens.models import NamedToken

# How exact `last_used_at` is: a write for each use would cost more than it tells.
USE_RESOLUTION = timedelta(minutes=1)


class Action(audit.Action):
    """What is done to named tokens."""

    MINT = "tokens:named_token:mint"
    UPDATE = "tokens:named_token:update"
    REVOKE = "tokens:named_token:revoke"
    READ_VALUE = "tokens:named_token:read_value"


@dataclass(frozen=True, slots=True)
class Minted:
    """A named token and, this once, its value."""

    token: NamedToken
    value: str

    def __repr__(self) -> str:
        return f"Minted({self.token!r})"


def ring() -> KeyRing:
    """The keys of named tokens; raises `NotConfigured` without `TOKENS_SECRET_KEY`."""
    return hmac_ring(
        settings.TOKENS_SECRET_KEY, settings.TOKENS_SECRET_KEY_FALLBACKS, setting="TOKENS_SECRET_KEY", with_kid=True
    )


def mint(
    name: str,
    *,
    actor: Actor,
    expires_at: datetime | None = None,
    is_active: bool = True,
    can_write: bool = True,
    now: datetime | None = None,
) -> Minted:
    """Make the named token `name`, which must be free; None for `expires_at` means that it does not expire.

    Raises `AlreadyExists` and `NotConfigured`; either way nothing is stored.
    """
    now = now or timezone.now()
    token = NamedToken(
        name=name, expires_at=expires_at, is_active=is_active, can_write=can_write, created_at=now, updated_at=now
    )
    value = ring().sign(token.claims())
    try:
        with transaction.atomic():
            token.save(force_insert=True)
            audit.record(Action.MINT, token, actor=actor, now=now)
    except IntegrityError:
        raise AlreadyExists(f"There is a token named {name!r} already.") from None
    return Minted(token, value)


def update(name: str, *, actor: Actor, now: datetime | None = None, **changes: Any) -> NamedToken:
    """Change `expires_at`, `is_active`, `can_write` of the token `name`; what is left out keeps its value.

    Raises `NotFound`.
    """
    now = now or timezone.now()
    with transaction.atomic():
        token = _locked(name)
        before = audit.snapshot(token)
        for field in changes.keys() & {"expires_at", "is_active", "can_write"}:
            setattr(token, field, changes[field])
        if audit.snapshot(token) != before:
            token.updated_at = now
            token.save()
            audit.record(Action.UPDATE, token, actor=actor, before=before, now=now)
    return token


def revoke(name: str, *, actor: Actor, reason: str = "", now: datetime | None = None) -> NamedToken:
    """End the token `name` for good and free its name. The row stays, as history. Raises `NotFound`."""
    with transaction.atomic():
        token = _locked(name)
        return _revoke(token, actor=actor, reason=reason, now=now or timezone.now())


def value(name: str, *, actor: Actor, is_recorded: bool = True) -> str:
    """The value of the token `name`, signed from its row; that it was read is recorded. Raises `NotFound`."""
    token = NamedToken.objects.filter(name=name, revoked_at__isnull=True).first()
    if token is None:
        raise NotFound(f"There is no token named {name!r}.")
    signed = ring().sign(token.claims())
    if is_recorded:
        audit.record(Action.READ_VALUE, token, actor=actor)
    return signed


def listing(*, after: str | None = None, limit: int | None = None) -> list[NamedToken]:
    """The tokens that were not revoked, by creation; at most `limit`, beginning behind the one named `after`.

    Raises `NotFound` when there never was a token named `after`.
    """
    tokens = NamedToken.objects.filter(revoked_at__isnull=True).order_by("id")
    if after is not None:
        last = NamedToken.objects.filter(name=after).order_by("-id").values_list("id", flat=True).first()
        if last is None:
            raise NotFound(f"There is no token named {after!r}.")
        tokens = tokens.filter(id__gt=last)
    return list(tokens[:limit])


def find(raw: str) -> NamedToken | None:
    """The token whose value is `raw`, in whatever state. Raises `InvalidCredential` for what was not signed here."""
    claims = ring().verify(raw)
    if claims.get("iss") != "token":
        raise InvalidCredential("The token was not issued here.")
    try:
        subject = uuid.UUID(claims.get("sub"))
    except (TypeError, ValueError, AttributeError):
        raise InvalidCredential("The token has no subject.") from None
    return NamedToken.objects.filter(subject=subject).first()


def verify(raw: str, now: datetime) -> Description:
    """The usable token whose value is `raw`. Raises `InvalidCredential`."""
    token = find(raw)
    if token is None or not token.is_usable(now=now):
        raise InvalidCredential("The token is not usable.")
    claims: dict[str, Any] = token.claims() | {
        "scope": "read write" if token.can_write else "read",
        "client_id": token.name,
    }
    if token.expires_at is not None:
        claims["exp"] = int(token.expires_at.timestamp())
    return Description(kind=NamedToken.kind, token_type="Bearer", claims=claims, row=token)  # noqa: S106 — RFC 6750's name


def note_use(token: NamedToken, *, now: datetime | None = None) -> None:
    """Remember that `token` was used, exact to `USE_RESOLUTION`."""
    now = now or timezone.now()
    stale = now - USE_RESOLUTION
    if token.last_used_at is None or token.last_used_at < stale:
        not_since = Q(last_used_at__isnull=True) | Q(last_used_at__lt=stale)
        NamedToken.objects.filter(not_since, pk=token.pk).update(last_used_at=now)


def _locked(name: str) -> NamedToken:
    token = NamedToken.objects.select_for_update().filter(name=name, revoked_at__isnull=True).first()
    if token is None:
        raise NotFound(f"There is no token named {name!r}.")
    return token


def _revoke(token: NamedToken, *, actor: Actor, reason: str, now: datetime) -> NamedToken:
    before = audit.snapshot(token)
    token.revoked_at = token.updated_at = now
    token.save(update_fields=["revoked_at", "updated_at"])
    audit.record(Action.REVOKE, token, actor=actor, before=before, reason=reason, now=now)
    return token


def revoke_row(row: Credential, actor: Actor, reason: str) -> None:
    """End this very token; one that was revoked before stays as it is."""
    with transaction.atomic():
        token = NamedToken.objects.select_for_update().get(pk=row.pk)
        if token.revoked_at is None:
            _revoke(token, actor=actor, reason=reason, now=timezone.now())


KIND = kinds.Kind(
    name=NamedToken.kind, label="Named token", verify=verify, find=find, revoke=revoke_row, model=NamedToken
)
