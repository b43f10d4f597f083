"""Whether this process can serve: each app registers, in its `AppConfig.ready`, what its own routes need.

A probe returns a few words, `OK` or what limits the service, and raises `NotReady` where requests would fail. Its words
may be read by anybody: they name settings and commands, never values.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from django.core.cache import cache
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from tokens.core.errors import NotConfigured

OK = "ok"
# A clock that differs more makes tokens that others take for expired or not valid yet.
MAX_CLOCK_SECONDS = 10
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)


class NotReady(Exception):
    """Requests would fail, for the reason that this says."""


Probe = Callable[[], str]


@dataclass(slots=True)
class Report:
    """What the probes found: by name, the words of each. `failed` names those that keep the process from serving."""

    found: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether requests would be served."""
        return not self.failed


_probes: dict[str, Probe] = {}
# Probes that a missing database would only make wait for the same answer.
_needs_database: set[str] = set()
# Probes of something that only a process that serves has.
_needs_server: set[str] = set()
_migrated = False


def register(name: str, probe: Probe, *, needs_database: bool = False, needs_server: bool = False) -> None:
    """Make a probe known. Those that need the database are left out while it is away."""
    _probes[name] = probe
    if needs_server:
        _needs_server.add(name)
    if needs_database:
        _needs_database.add(name)


def report(*, is_serving: bool = True) -> Report:
    """Run all probes; for a command, which serves nobody, those that tell something of it."""
    result = Report()
    is_away = False
    for name, probe in _probes.items():
        if (is_away and name in _needs_database) or (not is_serving and name in _needs_server):
            continue
        try:
            result.found[name] = probe()
        except (NotReady, NotConfigured) as exc:
            result.found[name] = str(exc)
            result.failed.append(name)
            is_away |= name == "database"
        except Error as exc:
            result.found[name] = f"cannot be used ({type(exc).__name__})"
            result.failed.append(name)
            is_away = True
    return result


def database() -> str:
    """The database answers. An embedded one that is not there is not made by looking."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and name.startswith("/") and not Path(name).is_file():
        raise NotReady("DATABASE_URL names a file that is not there")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK


def migrations() -> str:
    """Every migration is applied. Asked until it is so, and not again: nothing unapplies them under a server."""
    global _migrated  # noqa: PLW0603 — for the life of the process
    if not _migrated:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            raise NotReady(f"{len(missing)} to apply; run manage.py migrate")
        _migrated = True
    return OK


def clock() -> str:
    """The clock agrees with that of the database, and is not one that was never set."""
    now = timezone.now()
    if now < EARLIEST:
        raise NotReady(f"says {now:%Y-%m-%d}; set it")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            (there,) = cursor.fetchone()
        difference = (there - timezone.now()).total_seconds()
        if abs(difference) > MAX_CLOCK_SECONDS:
            raise NotReady(f"differs from the clock of the database by {abs(difference):.0f} s")
    return OK


def shared_cache() -> str:
    """The cache answers. Without it limits count per process, which is no reason to serve nobody."""
    try:
        cache.set("health", time.time(), timeout=10)
    except Exception as exc:  # noqa: BLE001 — whatever the cache's client raises
        return f"cannot be used ({type(exc).__name__}); limits count per process"
    return OK


def loads(keys: Callable[[], object]) -> Probe:
    """A probe: the signing keys that `keys` returns, or raises `NotConfigured` for, are there."""

    def probe() -> str:
        keys()
        return OK

    return probe


register("database", database)
register("migrations", migrations, needs_database=True)
register("clock", clock, needs_database=True)
register("cache", shared_cache)
