"""The registry of credential kinds: each app registers, in its `AppConfig.ready`, how its own are verified and revoked.

Whoever works with "any credential" (introspection, revocation, search for a leaked secret, the tests that every kind
must pass) goes through `find` and `all_kinds` and knows no app.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tokens.core.audit import Actor
from tokens.core.errors import InvalidCredential
from tokens.core.models import Credential


@dataclass(frozen=True, slots=True)
class Description:
    """A verified credential in the words of RFC 7662, section 2.2.

    `claims` holds `sub`, `iss`, `exp`, `iat` (seconds), `scope`, `client_id`, `username` as far as the kind has them;
    `row` is the stored credential, None for kinds of which no row is kept.
    """

    kind: str
    token_type: str
    claims: dict[str, Any] = field(default_factory=dict)
    row: Credential | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of credential.

    `verify(raw, now)` returns the description of a usable credential, else raises `InvalidCredential` or `Forbidden`.
    `find(raw)` returns the row that belongs to a genuine credential in whatever state, or None.
    `revoke(row, actor, reason)` ends it. Kinds of which no row is kept have neither.
    """

    name: str
    label: str
    verify: Callable[[str, datetime], Description]
    find: Callable[[str], Credential | None] | None = None
    revoke: Callable[[Credential, Actor, str], Any] | None = None
    model: type[Credential] | None = None


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


def find(raw: str) -> Credential | None:
    """The stored credential that `raw` is the secret or value of, in whatever state, or None."""
    for kind in all_kinds():
        if kind.find is not None:
            try:
                row = kind.find(raw)
            except InvalidCredential:
                continue
            if row is not None:
                return row
    return None
