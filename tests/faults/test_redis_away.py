"""The shared cache is away: requests are served, limits count per process, and health says so."""

import time

import pytest

from tests.server import registry

LIMIT = 5


@pytest.fixture(scope="module")
def without_redis(tmp_path_factory):
    """A server of one process, whose `CACHE_URL` names a port where nobody listens."""
    folder = tmp_path_factory.mktemp("registry")
    made = registry.new(folder, f"sqlite:///{folder}/registry.sqlite3")
    made.environment |= {"CACHE_URL": f"redis://127.0.0.1:{registry.free_port()}/0", "MAX_FAILURES": str(LIMIT)}
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
