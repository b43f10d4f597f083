"""The registry of first-run steps: what each app needs to exist before it can serve. The `init` command takes them."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import transaction

from tokens.core import audit
from tokens.core.audit import Action
from tokens.core.models import Recorded


@dataclass(frozen=True, slots=True, repr=False)
class Made:
    """Something the first run made: a sentence for people, the secret that is shown this once, a command to try it."""

    label: str
    secret: str = ""
    example: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """One run of `init`: where the server will be, the variables it has just made, and whether to make a demo."""

    base_url: str
    fresh: Mapping[str, str]
    is_demo: bool


@dataclass(frozen=True, slots=True)
class Setup:
    """The first-run steps of one app.

    `secrets` maps variables of `.env` to functions that make fresh values. `make_files()` writes the key files that are
    missing and returns their paths. `make_rows(run)` runs after the migrations and makes the first rows, or none where
    there are some. `make_demo_data(count)` makes that many rows of each kind, of which nobody has the secret.
    """

    secrets: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    make_files: Callable[[], list[Path]] = list
    make_rows: Callable[[Run], list[Made]] = lambda _run: []
    make_demo_data: Callable[[int], None] = lambda _count: None


_setups: list[Setup] = []
BATCH = 5000


def life(number: int, *, now: datetime) -> dict[str, Any]:
    """A made-up life for the demo row `number`: most are usable, some expire soon, expired, were switched off, revoked.

    The same number gives the same life.
    """
    chance = random.Random(number)  # noqa: S311 — a demo
    created_at = now - timedelta(days=chance.uniform(0, 90))
    ends_at = now + timedelta(days=chance.uniform(-60, 300))
    fate = chance.random()
    is_used = fate > 0.4
    return {
        "created_at": created_at,
        "expires_at": max(ends_at, created_at + timedelta(days=1)) if fate > 0.2 else None,
        "is_active": not 0.05 < fate < 0.1,
        "revoked_at": chance.choice((now, created_at + timedelta(hours=1))) if fate < 0.05 else None,
        "last_used_at": now - timedelta(hours=chance.uniform(0, 200)) if is_used else None,
        "use_count": number % 977 + 1 if is_used else 0,
    }


def store(rows: Iterable[Recorded], action: Action, model: type[Recorded]) -> None:
    """Store demo rows, and that each was made, in batches."""
    for batch in batched(rows):
        with transaction.atomic():
            model._default_manager.bulk_create(batch)
            audit.record_all(action, batch, actor=audit.SYSTEM)


def batched(rows: Iterable[Recorded]) -> Iterator[list[Recorded]]:
    """`rows` in lists of `BATCH`."""
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def register(setup: Setup) -> None:
    """Make the steps of one app known."""
    _setups.append(setup)


def all_setups() -> tuple[Setup, ...]:
    """The steps of all apps in the order of `INSTALLED_APPS`."""
    return tuple(_setups)
