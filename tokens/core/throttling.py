"""How often one address may fail, or mint without a credential: fixed windows, counted in the cache of all processes.

A process asks the shared cache only when something is to be counted. It remembers the addresses that are over the limit
until their window ends, so that a request that goes well costs no look-up, and one process may let through at most one
attempt more than the limit.
"""

import ipaddress
import logging
import threading
import time
from functools import lru_cache

from django.core.cache import cache

from tokens.core.errors import TooManyFailures

log = logging.getLogger(__name__)

WINDOW_SECONDS = 60
MAX_REMEMBERED = 10_000

_lock = threading.Lock()
_blocked: dict[tuple[str, str], float] = {}
_counts_without_cache: dict[str, int] = {}


def check(scope: str, address: str | None) -> None:
    """Raise `TooManyFailures` while `address` is over the limit of `scope`, as far as this process knows."""
    address = counted_as(address or "")
    until = _blocked.get((scope, address))
    if until is None:
        return
    now = time.time()
    if now < until:
        raise TooManyFailures(retry_after=max(1, round(until - now)))
    with _lock:
        _blocked.pop((scope, address), None)


def count(scope: str, address: str | None, *, limit: int) -> None:
    """Count one event of `scope` for `address`; raise `TooManyFailures` when more than `limit` fall into this minute.

    A `limit` of 0 counts nothing, and neither does an unknown address.
    """
    if not limit or address is None:
        return
    address, now = counted_as(address), time.time()
    window = int(now // WINDOW_SECONDS)
    if _incremented(f"throttle:{scope}:{address}:{window}") > limit:
        with _lock:
            if len(_blocked) >= MAX_REMEMBERED:
                del _blocked[next(iter(_blocked))]
            _blocked[scope, address] = (window + 1) * WINDOW_SECONDS
        check(scope, address)


@lru_cache(maxsize=MAX_REMEMBERED)
def counted_as(address: str) -> str:
    """An IPv6 address stands for its /64, which is what one client commands."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address}/64", strict=False).network_address)


def forget() -> None:
    """Forget all counts and blocks of this process, and those in the cache."""
    _blocked.clear()
    _counts_without_cache.clear()
    cache.clear()


def _incremented(key: str) -> int:
    """The shared count of `key` after one more; while the cache is away, the count of this process."""
    try:
        cache.add(key, 0, timeout=2 * WINDOW_SECONDS)
        return int(cache.incr(key))
    except Exception as exc:  # noqa: BLE001 — whatever the cache's client raises, requests are served
        log.warning("the cache cannot be used (%s): limits count per process", type(exc).__name__)
        if len(_counts_without_cache) >= MAX_REMEMBERED:
            _counts_without_cache.clear()
        number = _counts_without_cache[key] = _counts_without_cache.get(key, 0) + 1
        return number
