"""What Prometheus gets when it asks: the series of `metrics` from all processes, and a count of what is usable."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import datetime

from django.db import Error
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

from tokens.core import kinds
from tokens.core.operations import counters

# Whoever asks more often gets the last count; a large table's is that of the overview.
COUNT_SECONDS = 15


class Usable(Collector):
    """How many credentials of each stored kind are usable, counted when somebody asks."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._counted_at = 0.0
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """The counts, and whether the database could be asked for them."""
        is_up = True
        with self._lock:
            if not self._counts or time.monotonic() - self._counted_at > COUNT_SECONDS:
                try:
                    self._counts, self._counted_at = self._count(timezone.now()), time.monotonic()
                except Error:
                    is_up, self._counts = False, {}
            counts = dict(self._counts)
        up = GaugeMetricFamily("registry_database_up", "Whether the database answers.")
        up.add_metric([], float(is_up))
        yield up
        usable = GaugeMetricFamily("registry_usable_credentials", "Usable credentials by kind.", labels=["kind"])
        for name, number in counts.items():
            usable.add_metric([name], number)
        yield usable

    def _count(self, now: datetime) -> dict[str, int]:
        return {name: counters.stock(model, now=now)["usable"] for name, model in kinds.models().items()}


usable = Usable()


def text() -> bytes:
    """Everything in Prometheus' text format, of all processes where there are several."""
    registry: CollectorRegistry
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types here
    else:
        registry = REGISTRY
    return generate_latest(registry) + generate_latest(_only(usable))


def _only(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry
