"""Counts for the overview, none of which costs a scan where somebody waits.

What leaves no row (an exchange, a refresh) is a `Tally`, counted in memory and stored every few seconds by a thread of
the process; so are the uses of credentials whose use writes nothing. What is there (usable, expired) is counted at
once while a table is small, and by that thread, every `STOCK_SECONDS`, when it is large. What was minted on a finished
day is counted once and stored.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta

from django.db import Error, transaction
from django.db.models import Count, F, Q
from django.utils import timezone
from prometheus_client import Counter as Series

from tokens.core import kinds
from tokens.core.models import Credential, DailyCount, RotatableCredential, State
from tokens.core.operations import background
from tokens.core.postgresql import patience
from tokens.core.times import later

log = logging.getLogger(__name__)

FLUSH_SECONDS = 2
# With fewer rows ever made than this, counting takes a few milliseconds.
SMALL = 20_000
STOCK_SECONDS = 300
# How long counting one large table may take where nobody waits for it.
COUNT_SECONDS = 10
# How long a process that ends waits for the answer to one statement: what it cannot store now is lost.
STOP_SECONDS = 10
SOON = timedelta(days=7)
# How far back the overview shows what was minted.
DAYS = 30
STOCK = ("usable", "expiring", "expired", "revoked")

_lock = threading.Lock()
# Held while counts are on their way from memory to the database: who finds none in memory then is not done.
_storing = threading.Lock()
_Tallied = tuple[date, str]
_Used = tuple[type[RotatableCredential], int]
_pending: Counter[_Tallied] = Counter()
_uses: Counter[_Used] = Counter()
_tallies: dict[str, "Tally"] = {}


class Tally:
    """Something that happens often and leaves no row of its own.

    `name` is `<app>:<what>`, `label` what people read, `series` what Prometheus calls it, without `_total`.
    """

    def __init__(self, name: str, label: str, *, series: str) -> None:
        self.name, self.label = name, label
        self._series = Series(series, f"{label}.")
        _tallies[name] = self

    def add(self) -> None:
        """Count one, in memory."""
        self._series.inc()
        with _lock:
            _pending[datetime.now(UTC).date(), self.name] += 1


def all_tallies() -> Iterable[Tally]:
    """All tallies, in the order of their making."""
    return _tallies.values()


def count_use(row: RotatableCredential) -> None:
    """Count one use of `row`, in memory."""
    with _lock:
        _uses[type(row), row.pk] += 1


def flush(*, now: datetime | None = None) -> None:
    """Store what was counted in memory. Raises Django's database errors, and then forgets nothing.

    Waits while another thread does the same, which may fail and leave the rest to this one.
    """
    with _storing:
        with _lock:
            counted, used = dict(_pending), dict(_uses)
            _pending.clear()
            _uses.clear()
        if not counted and not used:
            return
        try:
            _add(counted, used, now=now or timezone.now())
        except BaseException:
            with _lock:
                _pending.update(counted)
                _uses.update(used)
            raise


def stop() -> None:
    """Store what was counted since the last time, before the process ends. What cannot be stored is lost, and told."""
    try:
        with patience.of(STOP_SECONDS):
            flush()
    except Error as exc:
        with _lock:
            lost = _pending.total() + _uses.total()
        log.warning("counts cannot be stored (%s); %d of them are lost", type(exc).__name__, lost)


def tick(models: Iterable[type[Credential]], *, now: datetime | None = None) -> None:
    """What a thread in the background does every few seconds: store the tallies, count the stock when it is time."""
    now = now or timezone.now()
    flush(now=now)
    for model in models:
        if _is_large(model) and _claim(model, now=now):
            with patience.of(COUNT_SECONDS):
                store_stock(model, now=now)
                minted([model], days=DAYS, now=now)


def start() -> threading.Thread:
    """Have a thread of this process `tick` every `FLUSH_SECONDS` from now on."""
    return background.start(
        "counters",
        lambda: tick(kinds.models().values()),
        seconds=FLUSH_SECONDS,
        failing="counts cannot be stored (%s); they are kept for the next time",
        log=log,
    )


def note_most(name: str, number: int, *, now: datetime) -> None:
    """Store that `number` holds today, unless a greater one is stored."""
    DailyCount.objects.get_or_create(day=now.date(), name=name, defaults={"count": number, "counted_at": now})
    DailyCount.objects.filter(day=now.date(), name=name, count__lt=number).update(count=number, counted_at=now)


def stock(model: type[Credential], *, now: datetime) -> dict[str, int]:
    """How many credentials are usable, expiring within seven days, expired, revoked; of a large table, lately."""
    if not _is_large(model):
        return count_stock(model, now=now)
    latest = DailyCount.objects.filter(name=_stock_name(model, "usable")).order_by("-day").first()
    if latest is None:
        return store_stock(model, now=now)
    stored = DailyCount.objects.filter(day=latest.day, name__in=[_stock_name(model, what) for what in STOCK])
    return {row.name.rpartition(":")[2]: row.count for row in stored}


def count_stock(model: type[Credential], *, now: datetime) -> dict[str, int]:
    """Count, in one pass over the table."""
    usable = model.condition(State.ACTIVE, now=now)
    return model._default_manager.aggregate(
        usable=Count("pk", filter=usable),
        expiring=Count("pk", filter=usable & Q(expires_at__lte=later(now, SOON))),
        expired=Count("pk", filter=model.condition(State.EXPIRED, now=now)),
        revoked=Count("pk", filter=Q(revoked_at__isnull=False)),
    )


def store_stock(model: type[Credential], *, now: datetime) -> dict[str, int]:
    """Count and store, for whoever looks at a large table."""
    counted = count_stock(model, now=now)
    counts = {_stock_name(model, what): number for what, number in counted.items()}
    if _is_large(model):
        counts[_minted_name(model)] = _minted_on(model, now.date())
    _store(counts, day=now.date(), now=now)
    return counted


def recount(models: Iterable[type[Credential]], *, now: datetime) -> None:
    """Count the stock and the finished days again, after rows were made that are older than they look."""
    models = list(models)
    DailyCount.objects.filter(name__in=[_minted_name(model) for model in models]).delete()
    for model in models:
        store_stock(model, now=now)
    minted(models, days=DAYS, now=now)


def minted(models: Iterable[type[Credential]], *, days: int, now: datetime) -> dict[str, list[int]]:
    """How many of each kind were minted on each of the last `days` days, today last."""
    today = now.date()
    wanted = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    names = {_minted_name(model): model for model in models}
    rows = DailyCount.objects.filter(name__in=names, day__gte=wanted[0])
    # What was counted before its day was over is good for that day, and for large tables alone.
    stored = {(row.name, row.day): row.count for row in rows if row.day == today or row.day < row.counted_at.date()}
    fresh: dict[date, dict[str, int]] = {}
    for day in wanted:
        for name, model in names.items():
            if (name, day) not in stored:
                stored[name, day] = _minted_on(model, day)
                if day < today:
                    fresh.setdefault(day, {})[name] = stored[name, day]
    for day, counts in fresh.items():
        _store(counts, day=day, now=now)
    return {model.kind: [stored[name, day] for day in wanted] for name, model in names.items()}


def tallied(*, days: int, now: datetime) -> dict[str, list[int]]:
    """How often each tally was counted on each of the last `days` days, today last, as far as it was stored."""
    wanted = [now.date() - timedelta(days=back) for back in range(days - 1, -1, -1)]
    rows = DailyCount.objects.filter(name__in=_tallies, day__gte=wanted[0])
    stored = {(row.name, row.day): row.count for row in rows}
    return {name: [stored.get((name, day), 0) for day in wanted] for name in _tallies}


@transaction.atomic
def _add(counted: Mapping[_Tallied, int], used: Mapping[_Used, int], *, now: datetime) -> None:
    # Sorted, so that two processes that store at once wait for one another and never for each other.
    for model, pk in sorted(used, key=lambda key: (key[0]._meta.label, key[1])):
        rows = model._default_manager.filter(pk=pk)
        rows.update(use_count=F("use_count") + used[model, pk])
    for (day, name), number in sorted(counted.items()):
        DailyCount.objects.get_or_create(day=day, name=name, defaults={"counted_at": now})
        days = DailyCount.objects.filter(day=day, name=name)
        days.update(count=F("count") + number, counted_at=now)


def _minted_on(model: type[Credential], day: date) -> int:
    begin = datetime.combine(day, time(), tzinfo=UTC)
    return model._default_manager.filter(created_at__gte=begin, created_at__lt=later(begin, timedelta(days=1))).count()


def _minted_name(model: type[Credential]) -> str:
    return f"minted:{model.kind}"


def _stock_name(model: type[Credential], what: str) -> str:
    return f"stock:{model.kind}:{what}"


def _is_large(model: type[Credential]) -> bool:
    latest = model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
    return latest is not None and latest > SMALL


def _claim(model: type[Credential], *, now: datetime) -> bool:
    """Whether it is this process's turn to count: one of them makes the day's row, or wins its update."""
    row = {"name": _stock_name(model, "claimed"), "day": now.date()}
    stale = now - timedelta(seconds=STOCK_SECONDS)
    if DailyCount.objects.filter(**row, counted_at__lt=stale).update(counted_at=now):
        return True
    return DailyCount.objects.get_or_create(**row, defaults={"counted_at": now})[1]


def _store(counts: dict[str, int], *, day: date, now: datetime) -> None:
    rows = [DailyCount(day=day, name=name, count=number, counted_at=now) for name, number in counts.items()]
    DailyCount.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["name", "day"], update_fields=["count", "counted_at"]
    )
