"""A credential of every kind in every state it can be in: what is presented, and the row behind it.

A new kind adds one `Specimen` here; `test_every_kind.py` fails for a kind without one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from edi_auth import claims, pasta, services
from edi_auth.pasta import PastaToken
from edi_auth.revocations import Snapshot
from tests.factories import (
    ApiKeyFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    ProfileFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tokens.core.models import Credential, State

HOUR = timedelta(hours=1)
OBSTACLES = {
    State.REVOKED: lambda now: {"revoked_at": now - HOUR},
    State.INACTIVE: lambda now: {"is_active": False},
    State.PENDING: lambda now: {"starts_at": now + HOUR},
    State.EXPIRED: lambda now: {"created_at": now - 3 * HOUR, "expires_at": now - HOUR},
    State.ACTIVE: lambda now: {},
}
STORED = tuple(OBSTACLES)


@dataclass(frozen=True)
class Specimen:
    """How to make one kind of credential: `make(state, snapshot)` returns what is presented, and its row or None."""

    states: tuple[State, ...]
    make: Callable[[State, Snapshot], tuple[str, Credential | None]]
    forged: str


def stored(factory: Any, present: Callable[[Any], str]) -> Callable[[State, Snapshot], tuple[str, Credential]]:
    """Specimens of a kind that keeps rows."""

    def make(state: State, snapshot: Snapshot) -> tuple[str, Credential]:
        now = timezone.now()
        if state == State.LOCKED:
            row = factory(owner=ProfileFactory(locked_at=now))
        else:
            row = factory(**OBSTACLES[state](now))
        return present(row), row

    return make


def signed(which: str) -> Callable[[State, Snapshot], tuple[str, None]]:
    """Specimens of the tokens of which no row is kept: `edi` or `pasta`."""

    def make(state: State, snapshot: Snapshot) -> tuple[str, None]:
        now = timezone.now()
        issued = {State.PENDING: now + HOUR, State.EXPIRED: now - 9 * HOUR}.get(state, now - HOUR)
        profile = ProfileFactory(
            locked_at=now if state == State.LOCKED else None,
            tokens_valid_after=now if state == State.REVOKED else None,
        )
        snapshot.renew()
        if which == "edi":
            return services.ring().sign(claims.of_profile(profile, groups=[], links=[], now=issued)), None
        token = PastaToken(profile.uid, "https://pasta.edirepository.org/authentication", claims.pasta_ttl(issued))
        return pasta.sign(token), None

    return make


SPECIMENS = {
    "named_token": Specimen(STORED, stored(NamedTokenFactory, value_of), "e30.e30.c2ln"),
    "performance_token": Specimen(STORED, stored(PerformanceTokenFactory, value_of), "e30.e30.c2ln"),
    "publisher": Specimen(STORED, stored(PublisherFactory, secret_of), "secret-of-nobody"),
    "api_key": Specimen((*STORED, State.LOCKED), stored(ApiKeyFactory, secret_of), "secret-of-nobody"),
    "edi_token": Specimen(
        (State.ACTIVE, State.PENDING, State.EXPIRED, State.LOCKED, State.REVOKED), signed("edi"), "e30.e30.c2ln"
    ),
    "pasta_token": Specimen(
        (State.ACTIVE, State.EXPIRED, State.LOCKED, State.REVOKED), signed("pasta"), "dWlkKnN5cyox-c2ln"
    ),
}
