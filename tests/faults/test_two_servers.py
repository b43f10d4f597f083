"""Two servers behind nginx share limits, keys and locks, and the death of one costs no more than what it was at."""

import pytest

from tests.bench import two_servers
from tests.postgres import database as fresh_database


@pytest.fixture(scope="module")
def both(database, tmp_path_factory):
    """The two, with PostgreSQL, Redis and nginx."""
    if absent := two_servers.missing():
        pytest.skip(f"{' and '.join(absent)} is not installed.")
    folder = tmp_path_factory.mktemp("two")
    with fresh_database(database.url, "registry_two") as url, two_servers.house(folder, url) as house:
        yield house


def test_refuses_an_address_at_both_after_failures_at_either(both):
    assert two_servers.LIMIT <= two_servers.failures_until_refused(both) <= two_servers.LIMIT + 1


def test_takes_a_key_that_the_other_has_rotated(both):
    assert two_servers.rotate_api_key(both) == (200, 200)


def test_refuses_the_tokens_of_a_profile_that_the_other_has_locked(both):
    assert two_servers.seconds_until_locked(both) < 5


def test_goes_on_when_one_is_killed(both):
    served, lost, _ = two_servers.losses(both, two_servers.REFRESH, both.other.kill)
    assert served > two_servers.CLIENTS
    assert len(lost) <= two_servers.CLIENTS, lost
    assert both.call("GET", "/token", X_PUB_KEY=both.one.registry.public_key).status == 200
