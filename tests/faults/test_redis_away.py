"""The shared cache is away: requests are served, limits count per process, and health says so."""

import time

import pytest

from tests.server.registry import free_port

LIMIT = 5


@pytest.fixture(scope="module")
def without_redis(made):
    """A server of two processes, whose `CACHE_URL` names a port where nobody listens."""
    made.environment |= {"CACHE_URL": f"redis://127.0.0.1:{free_port()}/0", "MAX_FAILURES": str(LIMIT)}
    with made.serving():
        yield made


def test_serves_on_and_says_so(without_redis):
    begun = time.monotonic()
    assert without_redis.call("POST", "/auth/v1/key", {"key": without_redis.api_key}).status == 200
    answer = without_redis.call("GET", "/readyz")
    assert time.monotonic() - begun < 4
    assert answer.status == 200
    assert "limits count per process" in answer.json()["checks"]["cache"]


def test_limits_failures_all_the_same(without_redis):
    statuses = [without_redis.call("POST", "/auth/v1/key", {"key": "unknown"}).status for _ in range(4 * LIMIT + 4)]
    assert set(statuses) == {401, 429}
    assert statuses[-1] == 429
    assert LIMIT <= statuses.count(401) <= 2 * 2 * LIMIT  # two processes, and a minute that may end meanwhile
