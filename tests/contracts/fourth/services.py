"""The verbs of badges."""

import os
from datetime import datetime
from functools import partial
from typing import Any

from django.utils import timezone

from tests.contracts.fourth.models import Badge
from tokens.core import audit, kinds, lifecycle
from tokens.core.audit import Actor
from tokens.core.errors import InvalidCredential
from tokens.core.kinds import Description
from tokens.core.signing import Key, KeyRing, unverified_claims


class Action(audit.Action):
    """What is done to badges."""

    MINT = "fourth:badge:mint"
    REVOKE = "fourth:badge:revoke"


def ring() -> KeyRing:
    secret = os.environ["FOURTH_SECRET_KEY"].encode()
    return KeyRing("HS256", (Key(kid="badge", signing=secret, verifying=secret),))


def mint(number: str, *, actor: Actor, **fields: Any) -> tuple[Badge, str]:
    badge = Badge(number=number, **fields)
    taken = f"There is a badge {number} already."
    lifecycle.insert(badge, Action.MINT, actor=actor, taken=taken, now=timezone.now())
    return badge, ring().sign(badge.claims())


def find(raw: str) -> Badge | None:
    return Badge.objects.filter(number=str(ring().verify(raw).get("badge"))).first()


def verify(raw: str, now: datetime) -> Description:
    badge = find(raw)
    if badge is None or not badge.is_usable(now=now):
        raise InvalidCredential("The badge is not usable.")
    return Description(kind=Badge.kind, token_type="Badge", claims={"sub": badge.number}, row=badge)


KIND = kinds.Kind(
    name=Badge.kind,
    label="Badge",
    looks_like=lambda raw: "badge" in unverified_claims(raw),
    verify=verify,
    find=find,
    revoke=partial(lifecycle.revoke_row, action=Action.REVOKE),
    model=Badge,
)
