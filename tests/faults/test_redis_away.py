"""The shared cache is away: requests are served, limits count per process, and health says so."""

import time

import pytest

from tests.server.registry import free_port

LIMIT = 5
ADDRESSES = ("192.0.2.1", "192.0.2.2")


@pytest.fixture(scope="module")
def without_redis(made):
    """A server of one process, whose `CACHE_URL` names a port where nobody listens."""
    made.environment |= {
        "CACHE_URL": f"redis://127.0.0.1:{free_port()}/0",
        "MAX_FAILURES": str(LIMIT),
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    with made.serving(workers=1):
        yield made


def test_serves_on_and_says_so(without_redis):
    begun = time.monotonic()
    assert without_redis.call("POST", "/auth/v1/key", {"key": without_redis.api_key}).status == 200
    answer = without_redis.call("GET", "/readyz")
    assert time.monotonic() - begun < 4
    assert answer.status == 200
    assert "limits count per process" in answer.json()["checks"]["cache"]


def test_limits_failures_all_the_same(without_redis):
    for address in ADDRESSES:
        minute = time.time() // 60
        statuses = [fail(without_redis, address) for _ in range(LIMIT + 4)]
        if time.time() // 60 == minute:  # or the counts began anew in between
            break
    assert statuses == [401] * LIMIT + [429] * 4


def fail(server, address):
    return server.call("POST", "/auth/v1/key", {"key": "unknown"}, X_Forwarded_For=address).status
