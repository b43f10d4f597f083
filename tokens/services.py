"""The verbs of named tokens: mint, update, rotate, revoke, read back, verify. All that API, admin, commands call."""

import uuid
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db.models import CharField, QuerySet
from django.utils import timezone

from tokens.core import audit, kinds, lifecycle, purging
from tokens.core.audit import Actor
from tokens.core.errors import Invalid, InvalidCredential, NotFound
from tokens.core.kinds import Description
from tokens.core.lifecycle import Minted
from tokens.core.prepared import FINGERPRINT, NOW, Prepared, Slot
from tokens.core.purging import Purged
from tokens.core.signing import KeyRing, hmac_ring, unverified_claims
from tokens.models import ISSUER, AuditEvent, NamedToken

UPDATABLE = {"expires_at", "is_active", "can_write", "allowed_networks"}
# What nobody deletes of the audit log: an incident is looked into with it.
AUDIT_KEPT = timedelta(days=30)


class Action(audit.Action):
    """What is done to named tokens, and to the audit log."""

    MINT = "tokens:named_token:mint"
    UPDATE = "tokens:named_token:update"
    ROTATE = "tokens:named_token:rotate"
    REVOKE = "tokens:named_token:revoke"
    READ_VALUE = "tokens:named_token:read_value"
    PURGE_AUDIT_LOG = "tokens:audit_log:purge"


# Of which each is an `updated_at`.
CHANGES = (Action.MINT, Action.UPDATE, Action.ROTATE)


def ring() -> KeyRing:
    """The keys of named tokens; raises `NotConfigured` without `TOKENS_SECRET_KEY`."""
    return hmac_ring("TOKENS_SECRET_KEY")


def mint(
    name: str,
    *,
    actor: Actor,
    expires_at: datetime | None = None,
    is_active: bool = True,
    can_write: bool = True,
    allowed_networks: list[str] | None = None,
    raw_value: str | None = None,
    now: datetime | None = None,
) -> Minted[NamedToken]:
    """Make the named token `name`, which must be free.

    None for `expires_at` means the lifetime in `NAMED_TOKEN_DEFAULT_LIFETIME`, for ever when there is none. With
    `raw_value`, which another server has signed with `TOKENS_SECRET_KEY`, that goes on being its value. Raises
    `AlreadyExists`, `Invalid` and `NotConfigured`; either way nothing is stored.
    """
    now = now or timezone.now()
    token = NamedToken(
        name=name,
        expires_at=lifecycle.effective_expiry(expires_at, setting="NAMED_TOKEN", field="expiration_date", now=now),
        is_active=is_active,
        can_write=can_write,
        allowed_networks=[] if allowed_networks is None else allowed_networks,
        created_at=now,
        updated_at=now,
    )
    if raw_value is not None:
        token.subject = _brought_subject(raw_value)
        lifecycle.check_unknown(NamedToken, str(token.subject))
    value = raw_value or ring().sign(token.claims())
    taken = f"There is a token named {name!r} already."
    return Minted(lifecycle.insert(token, Action.MINT, actor=actor, taken=taken, now=now), value)


def update(token: str | NamedToken, *, actor: Actor, now: datetime | None = None, **changes: Any) -> NamedToken:
    """Change `expires_at`, `is_active`, `can_write`, `allowed_networks` of a token; the rest stays.

    `token` is a name, or a row: then this very token, whatever has its name by now.
    Raises `NotFound` and `Invalid`.
    """
    now = now or timezone.now()
    if "expires_at" in changes:
        lifecycle.check_lifetime(changes["expires_at"], setting="NAMED_TOKEN", field="expiration_date", now=now)
    changes = {field: changes[field] for field in sorted(changes.keys() & UPDATABLE)}
    return lifecycle.change(_rows(token), Action.UPDATE, changes, actor=actor, missing=_unknown(str(token)), now=now)


def is_shown_expiry(name: str, expires_at: datetime | None) -> bool:
    """Whether `expires_at` is what the API shows, or has shown, of the token `name` because that does not expire.

    A client that sends back what it was shown must not end the token with it. What was shown is when the token was
    changed, as the audit log tells.
    """
    if expires_at is None:
        return False
    token = _named(name).filter(expires_at__isnull=True).first()
    if token is None:
        return False
    first = expires_at.microsecond // 1000 * 1000
    shown = expires_at.replace(microsecond=first), expires_at.replace(microsecond=first + 999)
    if shown[0] <= token.updated_at <= shown[1]:
        return True
    changes = AuditEvent.objects.filter(kind=NamedToken.kind, object_id=str(token.pk), action__in=CHANGES)
    return changes.filter(at__range=shown).exists()


def rotate(
    token: str | NamedToken, *, actor: Actor, grace: timedelta = lifecycle.DEFAULT_GRACE, now: datetime | None = None
) -> Minted[NamedToken]:
    """Give a token, named as for `update`, a new value; the old one stays good for `grace`.

    Raises `NotFound`, `Invalid` and `NotConfigured`.
    """
    now, keys = now or timezone.now(), ring()
    changes = {"subject": uuid.uuid4()}
    row = lifecycle.rotate(
        _rows(token), Action.ROTATE, changes, actor=actor, missing=_unknown(str(token)), grace=grace, now=now
    )
    return Minted(row, keys.sign(row.claims()))


def named(name: str) -> NamedToken:
    """The token `name`. Raises `NotFound`."""
    token = NAMED.first(name=name)
    if token is None:
        raise NotFound(_unknown(name))
    return token


def revoke(name: str, *, actor: Actor, reason: str = "", now: datetime | None = None) -> NamedToken:
    """End the token `name` for good and free its name. The row stays, as history. Raises `NotFound`."""
    now = now or timezone.now()
    return lifecycle.revoke(_named(name), Action.REVOKE, actor=actor, missing=_unknown(name), reason=reason, now=now)


def value(name: str, *, actor: Actor, is_recorded: bool = True) -> str:
    """The value of the token `name`, signed from its row; that it was read is recorded. Raises `NotFound`."""
    token = named(name)
    signed = ring().sign(token.claims())
    if is_recorded:
        audit.record(Action.READ_VALUE, token, actor=actor)
    return signed


def listing(*, after: str | None = None, cursor: int = 0, limit: int | None = None) -> list[NamedToken]:
    """The tokens that were not revoked, by creation; at most `limit`, beginning behind the one named `after`.

    `cursor`, the id of a row, is for whoever turns pages: between two of them a name can come to mean another token.
    Raises `NotFound` when there never was a token named `after`.
    """
    tokens = NamedToken.objects.filter(revoked_at__isnull=True, id__gt=cursor).order_by("id")
    if after is not None:
        last = NamedToken.objects.filter(name=after).order_by("-id").values_list("id", flat=True).first()
        if last is None:
            raise NotFound(_unknown(after))
        tokens = tokens.filter(id__gt=last)
    return list(tokens[:limit])


def subject_of(raw: str) -> str:
    """The subject of a genuine value, by which its token is found. Raises `InvalidCredential` for what is not ours."""
    return _read(raw)[0]


def find(raw: str) -> NamedToken | None:
    """The token whose value is or was `raw`, in whatever state. Raises `InvalidCredential` for what is not ours."""
    return NamedToken.objects.filter(NamedToken.had(subject_of(raw))).any()


def verify(raw: str, now: datetime) -> Description:
    """The usable token whose value is `raw`. Raises `InvalidCredential`.

    What was not signed here costs a look-up like any other, so that the time tells nothing.
    """
    try:
        subject, issued_at = _read(raw)
    except InvalidCredential:
        subject, issued_at = str(uuid.uuid4()), 0
    token = PRESENTED.first(fingerprint=subject, now=now)
    if token is None or not token.is_usable(now=now):
        raise InvalidCredential("The token is not usable.")
    is_previous = str(token.subject) != subject
    ends_at = token.ends_at(is_previous=is_previous)
    claims: dict[str, Any] = {
        "sub": subject,
        "iat": issued_at,
        "iss": ISSUER,
        "scope": "read write" if token.can_write else "read",
        "client_id": token.name,
    }
    if ends_at is not None:
        claims["exp"] = int(ends_at.timestamp())
    return Description(NamedToken.kind, "Bearer", claims, row=token, is_previous=is_previous)


def note_use(token: NamedToken, *, is_previous: bool) -> None:
    """Remember that `token` was used, by its current value or the previous one."""
    lifecycle.note_use(token, is_previous=is_previous, now=timezone.now())


def recorded_before(moment: datetime) -> QuerySet[AuditEvent]:
    """The audit events from before `moment`. Raises `Invalid` unless that is as long ago as they are kept for."""
    if moment > timezone.now() - AUDIT_KEPT:
        raise Invalid("older_than", f"Audit events are kept for at least {AUDIT_KEPT.days} days.")
    return AuditEvent.objects.filter(at__lt=moment).order_by("at")


def purge_audit_log(*, actor: Actor, older_than: timedelta, now: datetime | None = None, **pace: Any) -> Purged:
    """Delete the audit events of more than `older_than` ago, at the pace that `purging.purge` describes.

    Raises `Invalid` as `recorded_before` does.
    """
    moment = (now or timezone.now()) - older_than
    rows, action = recorded_before(moment), Action.PURGE_AUDIT_LOG
    return purging.purge(rows, kind="audit_log", older_than=moment, action=action, actor=actor, now=now, **pace)


def _rows(token: str | NamedToken) -> QuerySet[NamedToken]:
    return _named(token) if isinstance(token, str) else _named(token.name).filter(pk=token.pk)


def _named(name: str | Slot) -> QuerySet[NamedToken]:
    return NamedToken.objects.filter(name=name, revoked_at__isnull=True)


NAMED = Prepared(lambda: _named(Slot("name", CharField())))
PRESENTED = Prepared(lambda: NamedToken.objects.filter(NamedToken.presented(FINGERPRINT, now=NOW)).order_by())


def _unknown(name: str) -> str:
    return f"There is no token named {name!r}."


def _read(raw: str, keys: KeyRing | None = None) -> tuple[str, int]:
    """The `sub`, in its one spelling, and the `iat` (seconds) of a genuine value. Raises `InvalidCredential`."""
    claims = (keys or ring()).verify(raw)
    if claims.get("iss") != ISSUER:
        raise InvalidCredential("The token was not issued here.")
    try:
        return str(uuid.UUID(claims.get("sub"))), int(claims.get("iat", 0))
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise InvalidCredential("The token has no subject.") from None


def _brought_subject(raw_value: str) -> uuid.UUID:
    """The `sub` of a value that another server signed.

    `TOKENS_SECRET_KEY` itself must have signed it: an old secret among its fallbacks goes when no token of this
    registry needs it. Raises `Invalid`.
    """
    keys = ring()
    try:
        subject, _ = _read(raw_value, KeyRing(keys.algorithm, keys.keys[:1]))
    except InvalidCredential:
        words = "must be signed with TOKENS_SECRET_KEY, and have a UUID as sub and 'token' as iss."
        raise Invalid("token", f"token: {words}") from None
    return uuid.UUID(subject)


KIND = kinds.Kind(
    name=NamedToken.kind,
    label="Named token",
    looks_like=lambda raw: unverified_claims(raw).get("iss") == ISSUER,
    verify=verify,
    find=find,
    revoke=partial(lifecycle.revoke_row, action=Action.REVOKE),
    model=NamedToken,
)
