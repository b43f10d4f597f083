"""What Prometheus is told, gathered from all worker processes (`PROMETHEUS_MULTIPROC_DIR`, which the server sets).

A label never holds anything a client chose: routes, statuses and reasons come from finite lists.
"""

import logging
import threading

from django.db import connection, transaction
from prometheus_client import Counter, Gauge, Histogram

from tokens.core.operations import background

log = logging.getLogger(__name__)

SAMPLE_SECONDS = 5

requests = Counter("registry_requests", "Requests answered.", ["route", "http_method", "status"])
seconds = Histogram(
    "registry_request_seconds",
    "Time until a response was ready.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
actions = Counter("registry_actions", "Changes that were committed, by audit action.", ["action"])
refusals = Counter("registry_refusals", "Requests that were refused, by reason.", ["reason"])
snapshot_read_at = Gauge(
    "registry_snapshot_read_timestamp_seconds",
    "When the oldest revocation snapshot of any process was read.",
    multiprocess_mode="livemin",
)
pool_size = Gauge(
    "registry_pool_connections", "Database connections in all pools.", ["state"], multiprocess_mode="livesum"
)
pool_waiting = Gauge(
    "registry_pool_waiting", "Requests that wait for a database connection.", multiprocess_mode="livesum"
)

_answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def open_files() -> None:
    """Open the files of this process now: the first count would, and could not while there are no descriptors left."""
    requests.labels("/healthz", "GET", "200")
    seconds.labels("/healthz")


def answered(route: str, method: str, status: int, duration: float) -> None:
    """Count one response. Its two series are looked up once per process."""
    series = _answered.get((route, method, status))
    if series is None:
        series = requests.labels(route, method, str(status)), seconds.labels(route)
        _answered[route, method, status] = series
    series[0].inc()
    series[1].observe(duration)


def acted(action: str) -> None:
    """Count one audited action when the transaction it belongs to is committed."""
    transaction.on_commit(actions.labels(action).inc)


def refused(reason: str) -> None:
    """Count one refusal."""
    refusals.labels(reason).inc()


def sample() -> None:
    """Note what the pool of this process does, where there is one."""
    pool = getattr(connection, "pool", None)
    if pool is not None:
        stats = pool.get_stats()
        size, available = stats.get("pool_size", 0), stats.get("pool_available", 0)
        pool_size.labels("idle").set(available)
        pool_size.labels("used").set(size - available)
        pool_waiting.set(stats.get("requests_waiting", 0))


def start_sampling() -> threading.Thread:
    """Take a sample every few seconds from now on."""
    failing = "the pool of connections cannot be sampled (%s)"
    return background.start("metrics", sample, seconds=SAMPLE_SECONDS, failing=failing, log=log)
