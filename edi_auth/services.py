"""The verbs of profiles, groups, API keys and their tokens. API, admin and commands call these and nothing else."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import F, Value
from django.utils import timezone

from edi_auth import claims, pasta
from edi_auth.models import (
    AUTHENTICATED,
    PUBLIC,
    VETTED,
    ApiKey,
    Group,
    Idp,
    Principal,
    Profile,
    edi_id_of,
    random_edi_id,
)
from edi_auth.pasta import PastaToken
from edi_auth.revocations import snapshot
from tokens.core import audit, kinds
from tokens.core.audit import Actor
from tokens.core.errors import AlreadyExists, Forbidden, Invalid, InvalidCredential, NotFound
from tokens.core.kinds import Description
from tokens.core.models import Credential, State, digest
from tokens.core.signing import KeyRing, ec_ring

T = TypeVar("T", Profile, Group, ApiKey)


class Action(audit.Action):
    """What is done to profiles, groups and API keys."""

    ADD_PROFILE = "edi_auth:profile:add"
    UPDATE_PROFILE = "edi_auth:profile:update"
    LOCK_PROFILE = "edi_auth:profile:lock"
    UNLOCK_PROFILE = "edi_auth:profile:unlock"
    END_TOKENS = "edi_auth:profile:end_tokens"
    ADD_GROUP = "edi_auth:group:add"
    UPDATE_GROUP = "edi_auth:group:update"
    LOCK_GROUP = "edi_auth:group:lock"
    UNLOCK_GROUP = "edi_auth:group:unlock"
    MINT_KEY = "edi_auth:api_key:mint"
    UPDATE_KEY = "edi_auth:api_key:update"
    REVOKE_KEY = "edi_auth:api_key:revoke"


@dataclass(frozen=True, slots=True, repr=False)
class TokenPair:
    """An EDI token and the PASTA token of the same identity, signed."""

    edi: str
    pasta: str


@dataclass(frozen=True, slots=True)
class Minted:
    """A stored API key and, this once, its secret."""

    key: ApiKey
    secret: str

    def __repr__(self) -> str:
        return f"Minted({self.key!r})"


def ring() -> KeyRing:
    """The keys of EDI tokens: the one at `EDI_JWT_PRIVATE_KEY_PATH` signs. Raises `NotConfigured`."""
    return ec_ring(settings.EDI_JWT_PRIVATE_KEY_PATH, setting="EDI_JWT_PRIVATE_KEY_PATH")


def exchange(secret: str, *, now: datetime | None = None) -> TokenPair:
    """The tokens of an API key's owner, or of its group (`getTokenByKey`).

    One statement finds the key, judges it and counts its use; no lock is held while tokens are signed. Raises
    `InvalidCredential` for a key that is unknown, not yet valid or expired, `Forbidden` for one that was revoked or
    switched off, or whose owner or group is locked.
    """
    now = now or timezone.now()
    keys = ApiKey.objects.filter(key_hash=digest(secret))
    used = keys.usable(now=now).update_returning(("owner", "group"), use_count=F("use_count") + 1, last_used_at=now)
    if not used:
        raise _refusal(keys.select_related("owner", "group").first(), now)
    owner_id, group_id = used[0]
    if group_id is not None:
        group = Group.objects.get(pk=group_id)
        return TokenPair(
            edi=ring().sign(claims.of_group(group, now=now)),
            pasta=pasta.sign(PastaToken(PUBLIC, settings.PASTA_SYSTEM, claims.pasta_ttl(now))),
        )
    return tokens_of(Profile.objects.get(pk=owner_id), now=now)


def _refusal(key: ApiKey | None, now: datetime) -> Exception:
    if key is not None and key.state_at(now) in {State.REVOKED, State.LOCKED, State.INACTIVE}:
        return Forbidden("The API key was revoked, or its owner is locked.")
    return InvalidCredential("Invalid API key")


def tokens_of(profile: Profile, *, now: datetime) -> TokenPair:
    """A fresh pair of tokens for `profile`."""
    groups = Group.objects.filter(members=profile, locked_at__isnull=True).values_list("edi_id", Value(True))
    links = profile.links.values_list("edi_id", Value(False))
    principals = list(groups.order_by().union(links.order_by(), all=True))
    edi_claims = claims.of_profile(
        profile,
        groups=[edi_id for edi_id, is_group in principals if is_group],
        links=[edi_id for edi_id, is_group in principals if not is_group],
        now=now,
    )
    membership = f"{VETTED}*{AUTHENTICATED}" if profile.idp == Idp.LDAP else AUTHENTICATED
    token = PastaToken(profile.uid, settings.PASTA_SYSTEM, claims.pasta_ttl(now), membership)
    return TokenPair(edi=ring().sign(edi_claims), pasta=pasta.sign(token))


def refresh(raw_pasta: str, raw_edi: str, *, now: datetime | None = None) -> TokenPair:
    """Both tokens again with new times and nothing else changed (`refreshToken`). Touches no database.

    An expired PASTA token is renewed, an expired EDI token is not. Raises `InvalidCredential` for what is malformed,
    expired or not from here, `Forbidden` for tokens of different identities, a locked profile and revoked tokens.
    """
    now = now or timezone.now()
    edi_claims = ring().verify(raw_edi)
    claims.check(edi_claims, now=now)
    token = pasta.verify(raw_pasta)
    if token.system != settings.PASTA_SYSTEM:
        raise InvalidCredential("The PASTA token was not issued for this system.")
    claims.check_same_identity(edi_claims, token)
    for principal in (edi_claims["sub"], edi_id_of(token.uid)):
        snapshot.check(principal, edi_claims["iat"])
    return TokenPair(
        edi=ring().sign(claims.renewed(edi_claims, now=now)), pasta=pasta.sign(token.renewed(claims.pasta_ttl(now)))
    )


def add_profile(
    *, idp: str, idp_uid: str, actor: Actor, common_name: str = "", email: str = "", now: datetime | None = None
) -> Profile:
    """A profile for the identity `idp_uid` of the provider `idp`. For Google the identity may be the e-mail address.

    Raises `AlreadyExists` when the identity has a profile, `Invalid` for what makes no sense.
    """
    if idp == Idp.GOOGLE and not email and "@" in idp_uid:
        email = idp_uid
    profile = Profile(
        idp=idp,
        idp_uid=idp_uid,
        edi_id=edi_id_of(idp_uid),
        common_name=common_name,
        email=email,
        created_at=now or timezone.now(),
    )
    _validate(profile)
    if idp == Idp.GOOGLE and not email:
        raise Invalid("email", "A Google profile needs an e-mail address.")
    return _insert(profile, Action.ADD_PROFILE, actor=actor, taken=f"{idp_uid} has a profile already.")


def add_group(name: str, *, actor: Actor, members: Iterable[Profile] = (), now: datetime | None = None) -> Group:
    """A group with an EDI-ID of its own. Raises `AlreadyExists` and `Invalid`."""
    group = Group(name=name, edi_id=random_edi_id(), created_at=now or timezone.now())
    _validate(group)
    with transaction.atomic():
        _insert(group, Action.ADD_GROUP, actor=actor, taken=f"There is a group named {name!r} already.")
        update(group, actor=actor, members=members)
    return group


def set_locked(
    principal: Profile | Group, is_locked: bool, *, actor: Actor, reason: str = "", now: datetime | None = None
) -> None:
    """Lock a profile or group, or unlock it. A lock refuses its API keys at once and its refreshes within seconds."""
    lock, unlock = (
        (Action.LOCK_PROFILE, Action.UNLOCK_PROFILE)
        if isinstance(principal, Profile)
        else (Action.LOCK_GROUP, Action.UNLOCK_GROUP)
    )
    now = now or timezone.now()
    with transaction.atomic():
        stored = type(principal).objects.select_for_update().get(pk=principal.pk)
        if (stored.locked_at is not None) == is_locked:
            return
        before = audit.snapshot(stored)
        stored.locked_at = now if is_locked else None
        stored.save(update_fields=["locked_at"])
        audit.record(lock if is_locked else unlock, stored, actor=actor, before=before, reason=reason, now=now)


def end_tokens(profile: Profile, *, actor: Actor, reason: str = "", now: datetime | None = None) -> None:
    """End all tokens that `profile` has been given up to now: no refresh takes them any more."""
    now = now or timezone.now()
    with transaction.atomic():
        stored = Profile.objects.select_for_update().get(pk=profile.pk)
        before = audit.snapshot(stored)
        stored.tokens_valid_after = now
        stored.save(update_fields=["tokens_valid_after"])
        audit.record(Action.END_TOKENS, stored, actor=actor, before=before, reason=reason, now=now)


def mint_key(
    name: str,
    *,
    owner: Profile,
    actor: Actor,
    group: Group | None = None,
    starts_at: datetime | None = None,
    expires_at: datetime | None = None,
    now: datetime | None = None,
) -> Minted:
    """An API key of `owner`, or of `group` in the care of `owner`, valid from `starts_at` to `expires_at`.

    Raises `AlreadyExists` when the owner has a key of that name, `Invalid` for what makes no sense.
    """
    if starts_at and expires_at and expires_at <= starts_at:
        raise Invalid("valid-to", "The key would end before it begins.")
    secret = secrets.token_urlsafe(20)
    while secret.startswith("-"):  # a command line would take it, or its preview, for an option
        secret = secrets.token_urlsafe(20)
    key = ApiKey(
        name=name,
        key_hash=digest(secret),
        preview=secret[:5],
        owner=owner,
        group=group,
        starts_at=starts_at,
        expires_at=expires_at,
        created_at=now or timezone.now(),
    )
    _validate(key)
    _insert(key, Action.MINT_KEY, actor=actor, taken=f"{owner} has a key named {name!r} already.")
    return Minted(key, secret)


def revoke_key(key: ApiKey, *, actor: Actor, reason: str = "", now: datetime | None = None) -> ApiKey:
    """End an API key for good. Revoking it again changes nothing."""
    now = now or timezone.now()
    with transaction.atomic():
        stored = ApiKey.objects.select_for_update(of=("self",)).get(pk=key.pk)
        if stored.revoked_at is None:
            before = audit.snapshot(stored)
            stored.revoked_at = now
            stored.save(update_fields=["revoked_at"])
            audit.record(Action.REVOKE_KEY, stored, actor=actor, before=before, reason=reason, now=now)
    return stored


def update(row: Profile | Group | ApiKey, *, actor: Actor, **changes: Any) -> None:
    """Change fields of a profile, group or API key; what is left out keeps its value. Identities never change.

    Raises `AlreadyExists` and `Invalid`.
    """
    allowed, action = {
        Profile: ({"common_name", "email", "is_email_enabled", "is_email_verified", "links"}, Action.UPDATE_PROFILE),
        Group: ({"name", "members"}, Action.UPDATE_GROUP),
        ApiKey: ({"name", "is_active", "starts_at", "expires_at"}, Action.UPDATE_KEY),
    }[type(row)]
    with transaction.atomic():
        stored = type(row)._default_manager.select_for_update().get(pk=row.pk)
        before = audit.snapshot(stored)
        for name in changes.keys() & allowed:
            if stored._meta.get_field(name).many_to_many:
                getattr(stored, name).set(changes[name])
            else:
                setattr(stored, name, changes[name])
        if audit.snapshot(stored) == before:
            return
        _validate(stored)
        try:
            with transaction.atomic():
                stored.save()
        except IntegrityError:
            raise AlreadyExists("That name is taken already.") from None
        audit.record(action, stored, actor=actor, before=before)


def profile_of(edi_id: str) -> Profile:
    """The profile of that EDI-ID. Raises `NotFound`."""
    return _get(Profile, edi_id=edi_id)


def group_of(edi_id: str) -> Group:
    """The group of that EDI-ID. Raises `NotFound`."""
    return _get(Group, edi_id=edi_id)


def key_of(preview_or_id: str) -> ApiKey:
    """The API key of that preview or row id. Raises `NotFound`, and `Invalid` when several have that preview."""
    found = list(ApiKey.objects.filter(preview=preview_or_id)[:2])
    if preview_or_id.isascii() and preview_or_id.isdecimal() and len(preview_or_id) < 19:
        found += ApiKey.objects.filter(pk=int(preview_or_id)).exclude(pk__in=[key.pk for key in found])
    if not found:
        raise NotFound(f"There is no API key {preview_or_id!r}.")
    if len(found) > 1:
        ids = ", ".join(str(key.pk) for key in found)
        raise Invalid("key", f"{preview_or_id!r} fits several API keys; name one by its id: {ids}.")
    return found[0]


def find_key(raw: str) -> ApiKey | None:
    """The API key whose secret is `raw`, in whatever state."""
    return ApiKey.objects.select_related("owner", "group").filter(key_hash=digest(raw)).first()


def verify_key(raw: str, now: datetime) -> Description:
    """The usable API key whose secret is `raw`. Raises `InvalidCredential`."""
    key = find_key(raw)
    if key is None or not key.is_usable(now=now):
        raise InvalidCredential("The API key is not usable.")
    principal: Principal = key.group or key.owner
    described: dict[str, Any] = {"sub": principal.edi_id, "client_id": key.name, "username": str(principal)}
    described["iat"] = int(key.created_at.timestamp())
    if key.expires_at is not None:
        described["exp"] = int(key.expires_at.timestamp())
    return Description(kind=ApiKey.kind, token_type="API key", claims=described, row=key)  # noqa: S106 — a type


def verify_edi(raw: str, now: datetime) -> Description:
    """The EDI token `raw`, which must hold now and not be revoked. Raises `InvalidCredential` and `Forbidden`."""
    found = ring().verify(raw)
    claims.check(found, now=now)
    snapshot.check(found["sub"], found["iat"])
    shown = {name: found[name] for name in ("sub", "iss", "iat", "nbf", "exp") if name in found}
    return Description(kind="edi_token", token_type="JWT", claims=shown | {"username": found.get("cn", "")})  # noqa: S106 — a type


def verify_pasta(raw: str, now: datetime) -> Description:
    """The PASTA token `raw`, if it holds now and was not revoked. Raises `InvalidCredential` and `Forbidden`."""
    token = pasta.verify(raw)
    if token.ttl <= now.timestamp() * 1000 or token.system != settings.PASTA_SYSTEM:
        raise InvalidCredential("The PASTA token is not usable.")
    issued_at = token.ttl / 1000 - settings.EDI_TOKEN_HOURS * 3600
    snapshot.check(edi_id_of(token.uid), issued_at)
    shown = {"sub": token.uid, "iss": token.system, "exp": token.ttl // 1000, "scope": token.groups.replace("*", " ")}
    return Description(kind="pasta_token", token_type="PASTA", claims=shown)  # noqa: S106 — a type


def revoke_row(row: Credential, actor: Actor, reason: str) -> None:
    """End this very API key."""
    assert isinstance(row, ApiKey)  # noqa: S101 — the kind's own rows
    revoke_key(row, actor=actor, reason=reason)


def _get(model: type[T], **lookup: str) -> T:
    row = model._default_manager.filter(**lookup).first()
    if row is None:
        raise NotFound(f"There is no {model._meta.verbose_name} {next(iter(lookup.values()))}.")
    return row


def _validate(row: models.Model) -> None:
    try:
        row.clean_fields()
    except ValidationError as exc:
        name, messages = next(iter(exc.message_dict.items()))
        raise Invalid(name, f"{name}: {messages[0]}") from None


def _insert(row: T, action: Action, *, actor: Actor, taken: str) -> T:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            audit.record(action, row, actor=actor, now=row.created_at)
    except IntegrityError:
        raise AlreadyExists(taken) from None
    return row


KINDS = (
    kinds.Kind(name=ApiKey.kind, label="API key", verify=verify_key, find=find_key, revoke=revoke_row, model=ApiKey),
    kinds.Kind(name="edi_token", label="EDI token", verify=verify_edi),
    kinds.Kind(name="pasta_token", label="PASTA token", verify=verify_pasta),
)
