"""The verbs of profiles, groups, API keys and their tokens. API, admin and commands call these and nothing else."""

import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import BigIntegerField, Case, Expression, F, Q, QuerySet, Value, When
from django.utils import timezone

from edi_auth import claims, pasta
from edi_auth.claims import GROUP_IDP, Person
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
from edi_auth.revocations import COMMIT_SECONDS, snapshot
from tokens.core import audit, kinds, lifecycle
from tokens.core.audit import Actor
from tokens.core.errors import AlreadyExists, Forbidden, Invalid, InvalidCredential, NotFound
from tokens.core.kinds import Description
from tokens.core.lifecycle import Minted
from tokens.core.models import Recorded, State, digest, is_id, is_opaque, is_same, preview_of
from tokens.core.operations import counters
from tokens.core.prepared import FINGERPRINT, NOW, Prepared, PreparedUpdate, Slot
from tokens.core.signing import KeyRing, ec_ring, jwk_of, public_pem, unverified_claims

EXCHANGES = counters.Tally("edi_auth:exchange", "API keys exchanged", series="registry_exchanges")
REFRESHES = counters.Tally("edi_auth:refresh", "Tokens refreshed", series="registry_refreshes")

EDI_TOKEN = "edi_token"  # noqa: S105 — a kind
EDI_ID = re.compile(r"EDI-[0-9a-f]{40}")
SYSTEM_IDS = frozenset(map(edi_id_of, (PUBLIC, AUTHENTICATED, VETTED)))

T = TypeVar("T", Profile, Group)


class Action(audit.Action):
    """What is done to profiles, groups and API keys."""

    ADD_PROFILE = "edi_auth:profile:add"
    UPDATE_PROFILE = "edi_auth:profile:update"
    CREATE_TOKENS = "edi_auth:profile:create_tokens"
    LOCK_PROFILE = "edi_auth:profile:lock"
    UNLOCK_PROFILE = "edi_auth:profile:unlock"
    END_TOKENS = "edi_auth:profile:end_tokens"
    ADD_GROUP = "edi_auth:group:add"
    UPDATE_GROUP = "edi_auth:group:update"
    LOCK_GROUP = "edi_auth:group:lock"
    UNLOCK_GROUP = "edi_auth:group:unlock"
    END_GROUP_TOKENS = "edi_auth:group:end_tokens"
    MINT_KEY = "edi_auth:api_key:mint"
    UPDATE_KEY = "edi_auth:api_key:update"
    ROTATE_KEY = "edi_auth:api_key:rotate"
    REVOKE_KEY = "edi_auth:api_key:revoke"


# What `update` may change, by model: nobody's identity, and no secret.
UPDATES: dict[type[Recorded], tuple[Action, set[str]]] = {
    Profile: (
        Action.UPDATE_PROFILE,
        {"common_name", "email", "is_email_enabled", "is_email_verified", "is_administrator", "links"},
    ),
    Group: (Action.UPDATE_GROUP, {"name", "members"}),
    ApiKey: (Action.UPDATE_KEY, {"name", "is_active", "starts_at", "expires_at", "allowed_networks"}),
}


class StoredKey(NamedTuple):
    """What is stored of an API key: the SHA-256 of it in hex, and some characters to know it by."""

    key_hash: str
    preview: str


@dataclass(frozen=True, slots=True, repr=False)
class TokenPair:
    """An EDI token and the PASTA token of the same identity, signed; `holder` is the kind and the id of who asked."""

    edi: str
    pasta: str
    holder: tuple[str, str] = ("", "")


def ring() -> KeyRing:
    """The keys of EDI tokens: the one at `EDI_JWT_PRIVATE_KEY_PATH` signs. Raises `NotConfigured`."""
    return ec_ring(settings.EDI_JWT_PRIVATE_KEY_PATH, setting="EDI_JWT_PRIVATE_KEY_PATH")


def exchange(secret: str, *, address: str | None = None, now: datetime | None = None) -> TokenPair:
    """The tokens of an API key's owner, or of its group (`getTokenByKey`).

    One statement finds the key, judges it and counts its use; no lock is held while tokens are signed. Raises
    `InvalidCredential` for a key that is unknown, not yet valid or expired, `Forbidden` for one that was revoked or
    switched off, whose owner or group is locked, or that may not be used from `address`.
    """
    now = now or timezone.now()
    rows = _use(secret, address=address, now=now)
    key_id, group_id, owner_id = rows[0][:3]
    EXCHANGES.add()
    if group_id is not None:
        group = Group.objects.get(pk=group_id)
        now = _after_the_second_of(group.tokens_valid_after, now=now)
        pair = _signed(claims.of_group(group, now=now), PUBLIC, "", now=now)
    else:
        pair = _tokens_of(owner_id, [Person(*row[3:]) for row in rows], now=now)
    return replace(pair, holder=(ApiKey.kind, str(key_id)))


def _use(secret: str, *, address: str | None, now: datetime) -> list[tuple[Any, ...]]:
    """Count one use of an API key. Raises what `exchange` does.

    Each row has the ids of the key, of its group and of its owner, and then one of the `_people` about the owner.
    """
    fingerprint = digest(secret)
    rows = COUNT_FROM_ANYWHERE.rows(fingerprint=fingerprint, now=now)
    if not rows:
        keys = ApiKey.objects.filter(ApiKey.presented(fingerprint, now=now))
        key = keys.select_related("owner", "group").any()
        state = None if key is None else key.state_at(now)
        if key is None or state in {State.PENDING, State.EXPIRED}:
            raise InvalidCredential("Invalid API key")
        if state != State.ACTIVE:
            raise Forbidden("The API key was revoked or switched off, or its owner or group is locked.")
        if not key.allows(address):
            raise Forbidden("The API key may not be used from this address.")
        rows = COUNT.rows(fingerprint=fingerprint, now=now)
    if not rows:
        raise InvalidCredential("Invalid API key")
    return rows


def _people(pk: Expression) -> QuerySet[Any, Any]:
    """`Person` of a profile and of those linked to it, and in the same columns its groups that are not locked."""
    itself, linked = (Profile.objects.filter(**{lookup: pk}).order_by() for lookup in ("pk", "links"))
    groups = Group.objects.filter(members=pk, locked_at__isnull=True).order_by()
    empty, no = Value(""), Value(False)
    as_profiles = groups.values_list(
        "pk", "edi_id", Value(GROUP_IDP), empty, "name", empty, no, no, "tokens_valid_after"
    )
    return itself.values_list(*Person._fields).union(linked.values_list(*Person._fields), as_profiles, all=True)


def _counting(**limits: Any) -> PreparedUpdate[ApiKey]:
    """The statement that finds a presented key within `limits`, judges it, counts its use and reads `_people`."""
    is_current = Q(key_hash=FINGERPRINT)
    updates = {
        "use_count": F("use_count") + 1,
        "last_used_at": Case(When(is_current, then=NOW), default=F("last_used_at")),
        "previous_last_used_at": Case(When(is_current, then=F("previous_last_used_at")), default=NOW),
    }
    return PreparedUpdate(
        lambda: (
            ApiKey.objects.filter(ApiKey.presented(FINGERPRINT, now=NOW), ApiKey.usable_alone(now=NOW), **limits),
            ("id", "group", "owner"),
            updates,
        ),
        is_durable=False,
        reading=_people,
    )


COUNT, COUNT_FROM_ANYWHERE = _counting(), _counting(allowed_networks=[])
PEOPLE = Prepared(lambda: _people(Slot("pk", BigIntegerField())))


def tokens_of(profile_id: int, *, now: datetime) -> TokenPair:
    """A fresh pair of tokens for the profile with the row id `profile_id`. Raises `NotFound`."""
    return _tokens_of(profile_id, [Person(*row) for row in PEOPLE.rows(pk=profile_id)], now=now)


def _tokens_of(profile_id: int, people: Iterable[Person], *, now: datetime) -> TokenPair:
    groups = [person.edi_id for person in people if person.idp == GROUP_IDP]
    profiles = {person.pk: person for person in people if person.idp != GROUP_IDP}
    profile = profiles.pop(profile_id, None)
    if profile is None:
        raise NotFound("There is no such profile.")
    now = _after_the_second_of(profile.tokens_valid_after, now=now)
    links = {linked.edi_id for linked in profiles.values()}
    emails = {linked.email for linked in profiles.values() if linked.idp == Idp.GOOGLE}
    edi_claims = claims.of_profile(profile, groups=groups, links=links | set(map(edi_id_of, emails)), now=now)
    membership = f"{VETTED}*{AUTHENTICATED}" if profile.idp == Idp.LDAP else AUTHENTICATED
    return _signed(edi_claims, profile.uid, membership, now=now)


def _after_the_second_of(ended_at: datetime | None, *, now: datetime) -> datetime:
    """`now`, or the next second, which is waited for, when all tokens of before were ended in this one.

    Tokens count in whole seconds: one of the same second would seem to be from before.
    """
    if ended_at is None:
        return now
    next_second = ended_at.replace(microsecond=0) + timedelta(seconds=bool(ended_at.microsecond))
    if not timedelta(0) < next_second - now <= timedelta(seconds=1):
        return now
    time.sleep((next_second - now).total_seconds())
    return next_second


def _signed(edi_claims: dict[str, Any], uid: str, membership: str, *, now: datetime) -> TokenPair:
    ttl = claims.pasta_ttl(now, session_end=claims.session_end(edi_claims))
    token = PastaToken(uid, settings.PASTA_SYSTEM, ttl, membership)
    return TokenPair(edi=ring().sign(edi_claims), pasta=pasta.sign(token))


def public_key_pem() -> str:
    """The public key of the key that signs EDI tokens, as PEM (RFC 7468)."""
    return public_pem(ring().keys[0].verifying)


def create_tokens(edi_id: str, service_key: str, *, actor: Actor, now: datetime | None = None) -> TokenPair:
    """A fresh pair of tokens for the profile `edi_id`, asked for by a service that holds `EDI_SERVICE_KEY`.

    Raises `NotFound` while there is no such key and for an unknown profile, `InvalidCredential`, and `Forbidden` for a
    locked profile.
    """
    if not settings.EDI_SERVICE_KEY:
        raise NotFound("There is nothing here.")
    if not is_same(digest(service_key), digest(settings.EDI_SERVICE_KEY)):
        raise InvalidCredential("Invalid service key")
    now = now or timezone.now()
    profile = profile_of(edi_id)
    if profile.locked_at is not None:
        raise Forbidden("The profile is locked.")
    pair = tokens_of(profile.pk, now=now)
    audit.record(Action.CREATE_TOKENS, profile, actor=actor, now=now)
    return pair


def is_administrator(profile: Profile) -> bool:
    """Whether `profile` may end tokens and lock through the API: marked so, or named in `EDI_ADMIN_IDS`."""
    return profile.is_administrator or profile.edi_id in settings.EDI_ADMIN_IDS


def administrator_of(raw_edi: str, *, now: datetime | None = None) -> Profile:
    """The administrator whose EDI token `raw_edi` is.

    Asks the database, not the snapshot, whether the token still counts. Raises `InvalidCredential` and `Forbidden`.
    """
    now = now or timezone.now()
    found = ring().verify(raw_edi)
    claims.check(found, now=now)
    profile = Profile.objects.filter(edi_id=found["sub"]).first()
    if profile is None or not is_administrator(profile):
        raise Forbidden("Only an administrator may do this.")
    if profile.locked_at is not None:
        raise Forbidden("The profile is locked.")
    if profile.tokens_valid_after is not None and claims.made_at(found) < profile.tokens_valid_after.timestamp():
        raise Forbidden("The tokens of this profile were revoked.")
    return profile


def refresh(raw_pasta: str, raw_edi: str, *, now: datetime | None = None) -> TokenPair:
    """Both tokens again with new times and nothing else changed (`refreshToken`). Touches no database.

    An expired PASTA token is renewed, an expired EDI token is not. Raises `InvalidCredential` for what is malformed,
    expired or not from here, `Forbidden` for tokens of different identities, a locked profile and revoked tokens.
    """
    now, known_until, keys = now or timezone.now(), snapshot.known_until, ring()
    edi_claims = keys.verify(raw_edi)
    claims.check(edi_claims, now=now)
    token = pasta.verify(raw_pasta)
    if token.system != settings.PASTA_SYSTEM:
        raise InvalidCredential("The PASTA token was not issued for this system.")
    claims.check_same_identity(edi_claims, token)
    for principal in (edi_claims["sub"], edi_id_of(token.uid)):
        snapshot.check(principal, claims.made_at(edi_claims))
    renewed = claims.renewed(edi_claims, known_until=known_until, now=now)
    # Rounded, so that the renewed token of one identity is the same for that long and need not be signed again.
    step = settings.PASTA_TTL_ROUNDING_SECONDS
    ttl = claims.pasta_ttl(now, session_end=claims.session_end(renewed), step=step)
    REFRESHES.add()
    holder = (EDI_TOKEN, str(renewed["sub"]))
    return TokenPair(edi=keys.sign(renewed), pasta=pasta.sign(token.renewed(ttl)), holder=holder)


def add_profile(
    *,
    idp: str,
    idp_uid: str,
    actor: Actor,
    common_name: str = "",
    email: str = "",
    is_email_enabled: bool = False,
    is_email_verified: bool = False,
    now: datetime | None = None,
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
        is_email_enabled=is_email_enabled,
        is_email_verified=is_email_verified,
        created_at=now or timezone.now(),
    )
    if idp == Idp.GOOGLE and not email:
        raise Invalid("email", "A Google profile needs an e-mail address.")
    if Group.objects.filter(edi_id=profile.edi_id).exists():
        raise AlreadyExists(f"{profile.edi_id} is a group.")
    taken = f"{idp_uid} has a profile already."
    return lifecycle.insert(profile, Action.ADD_PROFILE, actor=actor, taken=taken, now=profile.created_at)


def add_group(
    name: str,
    *,
    actor: Actor,
    members: Iterable[Profile] = (),
    edi_id: str | None = None,
    now: datetime | None = None,
) -> Group:
    """A group with the EDI-ID `edi_id`, which others know it by already, or else a fresh one.

    Raises `AlreadyExists`, and `Invalid`: nobody else, a system principal included, may have that EDI-ID.
    """
    group = Group(name=name, edi_id=edi_id or random_edi_id(), created_at=now or timezone.now())
    if not EDI_ID.fullmatch(group.edi_id) or group.edi_id in SYSTEM_IDS:
        raise Invalid(
            "edi_id",
            f"edi_id: {group.edi_id!r} must be EDI- and 40 lowercase hex digits, and not a system principal's.",
        )
    if Profile.objects.filter(edi_id=group.edi_id).exists():
        raise AlreadyExists(f"{group.edi_id} is a profile.")
    taken = f"There is a group named {name!r} already."
    with transaction.atomic():
        lifecycle.insert(group, Action.ADD_GROUP, actor=actor, taken=taken, now=group.created_at)
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
        stored = type(principal)._default_manager.select_for_update().get(pk=principal.pk)
        if (stored.locked_at is not None) != is_locked:
            changes = {"locked_at": now if is_locked else None}
            action = lock if is_locked else unlock
            lifecycle.change_row(stored, action, changes, actor=actor, reason=reason, now=now)


def end_tokens(principal: Profile | Group, *, actor: Actor, reason: str = "", now: datetime | None = None) -> None:
    """End all tokens that a profile or group has been given up to now: no refresh takes them any more.

    Up to now means until nobody else is changing the row. What was ended before stays so, whatever the clock says.
    """
    action = Action.END_TOKENS if isinstance(principal, Profile) else Action.END_GROUP_TOKENS
    with transaction.atomic():
        stored = type(principal)._default_manager.select_for_update().get(pk=principal.pk)
        now = now or timezone.now()
        changes = {"tokens_valid_after": max(now, stored.tokens_valid_after or now)}
        lifecycle.change_row(stored, action, changes, actor=actor, reason=reason, now=now)


def mint_key(
    name: str,
    *,
    owner: Profile,
    actor: Actor,
    group: Group | None = None,
    is_active: bool = True,
    starts_at: datetime | None = None,
    expires_at: datetime | None = None,
    allowed_networks: list[str] | None = None,
    stored: StoredKey | None = None,
    now: datetime | None = None,
) -> Minted[ApiKey]:
    """An API key of `owner`, or of `group` in the care of `owner`, valid from `starts_at` to `expires_at`.

    None for `expires_at` means the lifetime in `API_KEY_DEFAULT_LIFETIME`, for ever when there is none. The owner of a
    key of which `stored` is kept has its secret already. Raises `AlreadyExists` when the owner has a key of that name,
    or somebody that secret, and `Invalid` for what makes no sense.
    """
    now = now or timezone.now()
    expires_at = lifecycle.effective_expiry(expires_at, setting="API_KEY", field="valid-to", now=now)
    lifecycle.check_order(starts_at, expires_at, field="valid-to")
    if stored:
        lifecycle.check_unknown(ApiKey, stored.key_hash)
    secret = "" if stored else fresh_key()
    key_hash, preview = stored or StoredKey(digest(secret), preview_of(secret))
    key = ApiKey(
        name=name,
        key_hash=key_hash,
        preview=preview,
        owner=owner,
        group=group,
        is_active=is_active,
        starts_at=starts_at,
        expires_at=expires_at,
        allowed_networks=[] if allowed_networks is None else allowed_networks,
        created_at=now,
    )
    taken = f"{owner} has a key named {name!r} already."
    return Minted(lifecycle.insert(key, Action.MINT_KEY, actor=actor, taken=taken, now=now), secret)


def rotate_key(
    key: ApiKey, *, actor: Actor, grace: timedelta = lifecycle.DEFAULT_GRACE, now: datetime | None = None
) -> Minted[ApiKey]:
    """Give an API key a new secret; the old one stays good for `grace`. Raises `Invalid` and `Forbidden`."""
    return lifecycle.rotate_row(key, fresh_key(), Action.ROTATE_KEY, actor=actor, grace=grace, now=now)


def revoke_key(key: ApiKey, *, actor: Actor, reason: str = "", now: datetime | None = None) -> ApiKey:
    """End an API key for good. Revoking it again changes nothing."""
    return lifecycle.revoke_row(key, Action.REVOKE_KEY, actor=actor, reason=reason, now=now)


def update(row: Profile | Group | ApiKey, *, actor: Actor, now: datetime | None = None, **changes: Any) -> None:
    """Change fields of a profile, group or API key; what is left out keeps its value. Identities never change.

    Raises `AlreadyExists` and `Invalid`.
    """
    now = now or timezone.now()
    action, fields = UPDATES[type(row)]
    if isinstance(row, ApiKey) and "expires_at" in changes:
        lifecycle.check_lifetime(changes["expires_at"], setting="API_KEY", field="valid-to", now=now)
    if isinstance(row, Profile) and row.idp == Idp.GOOGLE and changes.get("email") == "":
        raise Invalid("email", "A Google profile needs an e-mail address.")
    changes = {name: changes[name] for name in sorted(changes.keys() & fields)}
    lifecycle.change_row(row, action, changes, actor=actor, now=now)


def link(profiles: Iterable[Profile], *, actor: Actor, now: datetime | None = None) -> None:
    """Link each of `profiles` with all others of them, besides those that it is linked with already."""
    ids = [profile.pk for profile in profiles]
    with transaction.atomic():
        rows = list(Profile.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
        for row in rows:
            update(row, actor=actor, now=now, links={*row.links.all(), *rows} - {row})


def fresh_key() -> str:
    """A new secret of an API key. It never begins with `-`: a command line would take its preview for an option."""
    while True:
        secret = secrets.token_urlsafe(20)
        if not secret.startswith("-"):
            return secret


def profile_of(edi_id: str) -> Profile:
    """The profile of that EDI-ID. Raises `NotFound`."""
    return _get(Profile, edi_id)


def group_of(edi_id: str) -> Group:
    """The group of that EDI-ID. Raises `NotFound`."""
    return _get(Group, edi_id)


def principal_of(edi_id: str) -> Profile | Group:
    """The profile or group of that EDI-ID. Raises `NotFound`."""
    principal = None if "\0" in edi_id else _principal(edi_id)
    if principal is None:
        raise NotFound(f"There is no profile or group {edi_id}.")
    return principal


def key_of(preview_or_id: str) -> ApiKey:
    """The API key of that preview or row id. Raises `NotFound`, and `Forbidden` when several have that preview."""
    found = list(ApiKey.objects.filter(preview=preview_or_id)[:2])
    if is_id(preview_or_id):
        found += ApiKey.objects.filter(pk=int(preview_or_id)).exclude(pk__in=[key.pk for key in found])
    if not found:
        shown = preview_or_id if len(preview_or_id) <= 5 or preview_or_id.isdecimal() else f"{preview_or_id[:5]}…"
        raise NotFound(f"There is no API key {shown!r}.")
    if len(found) > 1:
        ids = ", ".join(str(key.pk) for key in found)
        raise Forbidden(f"{preview_or_id!r} matches several API keys; name one by its id: {ids}.")
    return found[0]


def find_key(raw: str) -> ApiKey | None:
    """The API key whose secret is `raw`, in whatever state."""
    return ApiKey.objects.select_related("owner", "group").filter(ApiKey.had(digest(raw))).any()


def verify_key(raw: str, now: datetime) -> Description:
    """The usable API key whose secret is `raw`. Raises `InvalidCredential`."""
    keys = ApiKey.objects.select_related("owner", "group")
    key = keys.filter(ApiKey.presented(digest(raw), now=now)).any()
    if key is None or not key.is_usable(now=now):
        raise InvalidCredential("The API key is not usable.")
    principal: Principal = key.group or key.owner
    described: dict[str, Any] = {"sub": principal.edi_id, "client_id": key.name, "username": str(principal)}
    described["iat"] = int(key.created_at.timestamp())
    is_previous = not is_same(key.key_hash, digest(raw))
    ends_at = key.ends_at(is_previous=is_previous)
    if ends_at is not None:
        described["exp"] = int(ends_at.timestamp())
    return Description(ApiKey.kind, "API key", described, row=key, is_previous=is_previous)


def verify_edi(raw: str, now: datetime) -> Description:
    """The EDI token `raw`, which must hold now and not be revoked. Raises `InvalidCredential` and `Forbidden`."""
    found = ring().verify(raw)
    claims.check(found, now=now)
    snapshot.check(found["sub"], claims.made_at(found))
    shown = {name: found[name] for name in ("sub", "iss", "iat", "nbf", "exp") if name in found}
    return Description(kind=EDI_TOKEN, token_type="JWT", claims=shown | {"username": found.get("cn", "")})  # noqa: S106 — a type


def verify_pasta(raw: str, now: datetime) -> Description:
    """The PASTA token `raw`, if it holds now and was not revoked. Raises `InvalidCredential` and `Forbidden`."""
    token = pasta.verify(raw)
    if token.ttl <= now.timestamp() * 1000 or token.system != settings.PASTA_SYSTEM:
        raise InvalidCredential("The PASTA token is not usable.")
    unknown_for = COMMIT_SECONDS + settings.EDI_REVOCATION_SECONDS  # a token renewed meanwhile seems too young
    issued_at = claims.pasta_issued_at(token.ttl, hours=snapshot.longest_hours())
    snapshot.check(edi_id_of(token.uid), issued_at - unknown_for)
    shown = {"sub": token.uid, "iss": token.system, "exp": token.ttl // 1000, "scope": token.groups.replace("*", " ")}
    return Description(kind="pasta_token", token_type="PASTA", claims=shown)  # noqa: S106 — a type


def find_edi(raw: str) -> Profile | Group | None:
    """The profile or group that a genuine EDI token, expired or not, was made for. Raises `InvalidCredential`."""
    subject = str(ring().verify(raw).get("sub"))
    return _principal(subject) if subject.isprintable() else None


def find_pasta(raw: str) -> Profile | Group | None:
    """The profile that a genuine PASTA token, expired or not, was made for. Raises `InvalidCredential`."""
    uid = pasta.verify(raw).uid
    return _principal(edi_id_of(uid)) or Profile.objects.filter(idp=Idp.GOOGLE, email=uid).first()


def _principal(edi_id: str) -> Profile | Group | None:
    return Profile.objects.filter(edi_id=edi_id).first() or Group.objects.filter(edi_id=edi_id).first()


def _get(model: type[T], edi_id: str) -> T:
    # PostgreSQL refuses to look a NUL up.
    row = None if "\0" in edi_id else model._default_manager.filter(edi_id=edi_id).first()
    if row is None:
        raise NotFound(f"There is no {model._meta.verbose_name} {edi_id}.")
    return row


KINDS = (
    kinds.Kind(
        name=ApiKey.kind,
        label="API key",
        looks_like=is_opaque,
        verify=verify_key,
        find=find_key,
        revoke=revoke_key,
        model=ApiKey,
    ),
    kinds.Kind(
        name=EDI_TOKEN,
        label="EDI token",
        looks_like=lambda raw: "hd" in unverified_claims(raw),
        verify=verify_edi,
        find=find_edi,
        revoke=end_tokens,
        public_keys=lambda: [{**jwk_of(key.verifying), "alg": "ES256"} for key in ring().keys],
    ),
    kinds.Kind(
        name="pasta_token",
        label="PASTA token",
        looks_like=pasta.looks_like,
        verify=verify_pasta,
        find=find_pasta,
        revoke=end_tokens,
        public_keys=lambda: [jwk_of(key) for key in pasta.keys().verifying],
    ),
)
