"""The registry of credential kinds: each app registers, in its `AppConfig.ready`, how its own are verified and revoked.

Whoever works with "any credential" (introspection, revocation, search for a leaked secret, the tests that every kind
must pass) goes through `find` and `all_kinds` and knows no app.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from django.conf import settings

from tokens.core.audit import Actor
from tokens.core.errors import Forbidden, InvalidCredential, NotConfigured
from tokens.core.models import Credential, Recorded, digest, is_same

SECRET_SETTING = re.compile("KEY|SECRET")


@dataclass(frozen=True, slots=True)
class Description:
    """A verified credential in the words of RFC 7662, section 2.2.

    `claims` holds `sub`, `iss`, `exp`, `iat` (seconds), `scope`, `client_id`, `username` as far as the kind has them;
    `row` is the stored credential, None for kinds of which no row is kept; `is_previous` tells that it was presented
    by a secret that has been rotated out and is in its grace.
    """

    kind: str
    token_type: str
    claims: dict[str, Any] = field(default_factory=dict)
    row: Credential | None = None
    is_previous: bool = False


class Revoke(Protocol):
    """How a kind ends one of its own."""

    def __call__(self, row: Any, /, *, actor: Actor, reason: str) -> Any:
        """End what is behind `row` for good."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of credential.

    `looks_like(raw)` tells by its shape whether a credential could be of this kind. `verify(raw, now)` returns the
    description of a usable one, else raises `InvalidCredential` or `Forbidden`. `find(raw)` returns the row behind a
    genuine one in whatever state, or None; for kinds of which no row is kept that is the principal it was made for.
    `revoke(row, actor=…, reason=…)` ends it, with all others of that principal where none can be told from another.
    `public_keys()` are the JWKs (RFC 7517) that verify it without asking here.
    `notifies` tells whether people are told before one expires.
    """

    name: str
    label: str
    looks_like: Callable[[str], bool]
    verify: Callable[[str, datetime], Description]
    find: Callable[[str], Recorded | None]
    revoke: Revoke
    model: type[Credential] | None = None
    public_keys: Callable[[], list[dict[str, str]]] = list
    notifies: bool = True


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make `kind` known; raises `ValueError` when its name is taken."""
    if kind.name in _kinds:
        raise ValueError(f"There is a credential kind {kind.name} already.")
    _kinds[kind.name] = kind


def get(name: str) -> Kind:
    """The kind of that name; raises `KeyError` when nobody registered it."""
    return _kinds[name]


def all_kinds() -> Iterator[Kind]:
    """All kinds in the order of `INSTALLED_APPS`."""
    return iter(_kinds.values())


def models() -> dict[str, type[Credential]]:
    """The models of all kinds of which rows are kept, by the name of the kind."""
    return {kind.name: kind.model for kind in all_kinds() if kind.model is not None}


def likely(raw: str, *, hint: str = "") -> list[Kind]:
    """The kinds whose shape `raw` has, the one named `hint` first."""
    fitting = [kind for kind in all_kinds() if kind.looks_like(raw)]
    return sorted(fitting, key=lambda kind: kind.name != hint)


def verify(raw: str, *, now: datetime, hint: str = "") -> Description | None:
    """The description of a usable credential of whatever kind, or None.

    All likely kinds are asked, so that what is known costs as much as what is not.
    """
    found = None
    for kind in likely(raw, hint=hint):
        with suppress(InvalidCredential, Forbidden, NotConfigured):
            description = kind.verify(raw, now)
            found = found or description
    return found


def find(raw: str, *, hint: str = "") -> tuple[Kind, Recorded] | None:
    """The kind of a genuine credential in whatever state and the row behind it, or None."""
    for kind in likely(raw, hint=hint):
        with suppress(InvalidCredential, NotConfigured):
            row = kind.find(raw)
            if row is not None:
                return kind, row
    return None


def pasted(text: str) -> str:
    """The credential in what somebody pasted, with or without the scheme of a header before it (RFC 6750)."""
    return text.strip().removeprefix("Bearer ").strip()


def setting_of(raw: str) -> str:
    """The name of the setting that holds the secret `raw`, of which no row is kept, or nothing."""
    presented, found = digest(raw), ""
    for name in filter(SECRET_SETTING.search, dir(settings)):
        value = getattr(settings, name)
        for secret in value if isinstance(value, tuple | list) else (value,):
            if isinstance(secret, str) and secret and is_same(digest(secret), presented):
                found = name
    return found
