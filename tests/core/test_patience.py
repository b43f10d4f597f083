"""How long a thread waits for PostgreSQL; that it waits no longer is in `tests/faults/test_database_silent.py`."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tokens.core.postgresql import patience


def elsewhere():
    with ThreadPoolExecutor(1) as other:
        return other.submit(lambda: patience.patience.seconds).result()


@pytest.fixture
def limited():
    patience.limit(1.5)
    yield
    patience.limit(None)
    vars(patience.patience).clear()  # what `of` has set for this thread


def test_waits_for_ever_unless_told():
    assert patience.patience.seconds is None
    with patience.of(10):
        assert patience.patience.seconds is None


def test_waits_longer_in_one_thread_for_a_while(limited):
    assert patience.patience.seconds == elsewhere() == 1.5
    with patience.of(10):
        assert (patience.patience.seconds, elsewhere()) == (10, 1.5)
    assert patience.patience.seconds == 1.5
