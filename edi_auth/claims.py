"""The claims of EDI tokens: made for a profile or a group, renewed, and judged. Nothing here signs or queries."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings

from edi_auth.models import AUTHENTICATED, PUBLIC, VETTED, Group, Idp, Profile, edi_id_of, uid_of
from edi_auth.pasta import PastaToken
from tokens.core.errors import Forbidden, InvalidCredential

# What a group's token says in place of an identity provider. A profile cannot have it as its identity.
GROUP_IDP = "group"
MAX_ROUNDING_SECONDS = 60  # the highest PASTA_TTL_ROUNDING_SECONDS
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME = 253_402_300_800  # seconds at which the year 9999 ends


class Person(NamedTuple):
    """What tokens say of a profile."""

    pk: int
    edi_id: str
    idp: str
    idp_uid: str
    common_name: str
    email: str
    is_email_enabled: bool
    is_email_verified: bool
    tokens_valid_after: datetime | None

    @property
    def uid(self) -> str:
        """What tokens call this identity."""
        return uid_of(self.idp, self.idp_uid, self.email)


def of_profile(
    profile: Profile | Person, *, groups: Iterable[str], links: Iterable[str], now: datetime
) -> dict[str, Any]:
    """The claims for `profile`. `groups` are the EDI-IDs of its groups, `links` those of its linked profiles."""
    system = [PUBLIC, AUTHENTICATED, *([VETTED] if profile.idp == Idp.LDAP else [])]
    principals = {*groups, *map(edi_id_of, system)} - {profile.edi_id}
    return {
        "sub": profile.edi_id,
        "cn": profile.common_name,
        "email": profile.email,
        "principals": sorted(principals),
        "links": sorted(links),
        "isEmailEnabled": profile.is_email_enabled,
        "isEmailVerified": profile.is_email_verified,
        "idpCommonName": profile.common_name,
        "idpName": profile.idp,
        "idpUid": profile.uid,
        **_issued(now),
    }


def of_group(group: Group, *, now: datetime) -> dict[str, Any]:
    """The claims for `group`, which has no identity of its own: its PASTA token is that of `public`."""
    return {
        "sub": group.edi_id,
        "cn": group.name,
        "email": "",
        "principals": sorted(map(edi_id_of, [PUBLIC])),
        "links": [],
        "isEmailEnabled": False,
        "isEmailVerified": False,
        "idpCommonName": group.name,
        "idpName": GROUP_IDP,
        "idpUid": PUBLIC,
        **_issued(now),
    }


def _issued(now: datetime) -> dict[str, Any]:
    issuer = {"iss": settings.EDI_JWT_ISSUER, "hd": settings.EDI_JWT_HOSTED_DOMAIN}
    began = {"auth_time": int(now.timestamp())} if settings.EDI_MAX_SESSION_HOURS else {}
    return issuer | began | _times(now, session_end=session_end(began))


def session_end(claims: dict[str, Any]) -> float:
    """The moment (seconds) when a chain of refreshes ends: `EDI_MAX_SESSION_HOURS` after its `auth_time` (RFC 9068).

    A token from before there was a limit counts from its `iat`.
    """
    if not settings.EDI_MAX_SESSION_HOURS:
        return math.inf
    return float(_began(claims)) + settings.EDI_MAX_SESSION_HOURS * 3600


def _began(claims: dict[str, Any]) -> int | float:
    """The `auth_time` of genuine claims, or their `iat` when that makes no sense."""
    began: int | float = claims["auth_time"] if _is_moment(claims.get("auth_time")) else claims["iat"]
    return began


def _is_moment(value: Any) -> bool:
    """Whether a claim is a number of seconds that lies within the calendar."""
    return type(value) in (int, float) and 0 <= value < END_OF_TIME


def _times(now: datetime, *, session_end: float) -> dict[str, int]:
    issued = int(now.timestamp())
    return {
        "iat": issued,
        "nbf": issued,
        "exp": int(min(issued + settings.EDI_TOKEN_HOURS * 3600, session_end, END_OF_TIME - 1)),
    }


def renewed(claims: dict[str, Any], *, known_until: float, now: datetime) -> dict[str, Any]:
    """`claims`, those included that this version does not know, with new times.

    `nbf` is not later than `known_until`, the moment (seconds) up to which revocations are known: or else a refresh
    made before a revocation is known would give a token that seems younger than the revocation.

    Raises `InvalidCredential` when the session is over.
    """
    end = session_end(claims)
    if now.timestamp() >= end:
        raise InvalidCredential("The session is over; a new one begins with the API key.")
    began = {"auth_time": _began(claims)} if settings.EDI_MAX_SESSION_HOURS else {}
    not_before = int(max(made_at(claims), min(now.timestamp(), known_until)))
    return claims | began | _times(now, session_end=end) | {"nbf": not_before}


def made_at(claims: dict[str, Any]) -> float:
    """The moment (seconds) from which on a revocation ends the token with these genuine claims.

    That is its `iat`, or its `nbf` where that is earlier: see `renewed`.
    """
    return float(min(claims["iat"], claims.get("nbf", math.inf)))


def pasta_ttl(now: datetime, *, session_end: float = math.inf, step: int = 0) -> int:
    """The moment of expiry of a PASTA token made now, in milliseconds, not later than `session_end` (seconds).

    It is rounded up to whole steps of `step` seconds.
    """
    ttl = (now - EPOCH) // timedelta(milliseconds=1) + settings.EDI_TOKEN_HOURS * 3_600_000
    if step:
        ttl = -(-ttl // (step * 1000)) * step * 1000
    return int(min(ttl, session_end * 1000, END_OF_TIME * 1000 - 1))


def pasta_issued_at(ttl: int, *, hours: int) -> float:
    """The earliest moment (seconds) at which a PASTA token that expires at `ttl` (milliseconds) can have been made.

    `hours` is the longest that such a token was made for. It counts as rounded if it can have been, whatever the
    setting says today.
    """
    is_rounded = ttl % 1000 == 0
    return ttl / 1000 - hours * 3600 - (MAX_ROUNDING_SECONDS if is_rounded else 0)


def check(claims: dict[str, Any], *, now: datetime) -> None:
    """Whether genuine EDI claims hold at `now`: issuer, hosted domain and times. Raises `InvalidCredential`."""
    if claims.get("iss") != settings.EDI_JWT_ISSUER or claims.get("hd") != settings.EDI_JWT_HOSTED_DOMAIN:
        raise InvalidCredential("The EDI token was not issued by this service.")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or not subject.isprintable():
        raise InvalidCredential("The EDI token names no subject.")
    seconds = now.timestamp()
    expires: Any = claims.get("exp")
    not_before: Any = claims.get("nbf", 0)
    issued: Any = claims.get("iat")
    if not all(map(_is_moment, (expires, not_before, issued))):
        raise InvalidCredential("The EDI token has no valid times.")
    if seconds >= expires:
        raise InvalidCredential("The EDI token has expired.")
    if seconds < not_before:
        raise InvalidCredential("The EDI token is not valid yet.")


def check_same_identity(claims: dict[str, Any], token: PastaToken) -> None:
    """Whether both tokens are of one identity, or else one's own token would revive anybody's dead one.

    Raises `Forbidden`.
    """
    if token.uid == PUBLIC:
        is_same = is_group(claims)
    else:
        links = claims.get("links")
        linked = links if isinstance(links, list) else []
        own = [claims.get("idpUid"), claims.get("email"), *linked]
        is_same = token.uid in own or edi_id_of(token.uid) in linked
    if not is_same:
        raise Forbidden("The PASTA token and the EDI token belong to different identities.")


def is_group(claims: dict[str, Any]) -> bool:
    """Whether genuine EDI claims are those of a group."""
    return claims.get("idpName") == GROUP_IDP
