"""Results of the last minute: kept under a digest, bounded, and gone after a minute."""

from types import SimpleNamespace

import pytest

from tokens.core import recent
from tokens.core.recent import MAX_RESULTS, Recent


@pytest.fixture
def at(monkeypatch):
    """Moves the clock of the module to a second."""

    def move(seconds):
        monkeypatch.setattr(recent, "time", SimpleNamespace(monotonic=lambda: 1000.0 + seconds))

    move(0)
    return move


def test_finds_what_was_put(at):
    results = Recent()
    results.put(b"one", "first")
    assert (results.get(b"one"), results.get(b"two")) == ("first", None)


@pytest.mark.parametrize("seconds", [1, 29, 30])
def test_still_finds_it_half_a_minute_later(at, seconds):
    results = Recent()
    results.put(b"one", "first")
    at(seconds)
    assert results.get(b"one") == "first"


@pytest.mark.parametrize("asked", [[60], [30, 60], [59, 60], [29, 59, 60], [*range(1, 61)], [10_000]])
def test_finds_nothing_after_a_minute_however_often_it_is_asked(at, asked):
    results = Recent()
    results.put(b"one", "first")
    for seconds in asked:
        at(seconds)
        found = results.get(b"one")
    assert found is None


@pytest.mark.parametrize("begun", range(60))
def test_finds_for_half_a_minute_and_no_whole_one_what_is_asked_for_every_second(at, begun):
    results = Recent()
    for seconds in range(begun):
        at(seconds)
        results.get(b"one")
    at(begun)
    results.put(b"one", "first")
    found = []
    for seconds in range(begun + 1, begun + 61):
        at(seconds)
        found.append(results.get(b"one"))
    assert (found[:30], found[-1]) == (["first"] * 30, None)


def test_holds_no_more_than_it_may(at):
    results = Recent()
    for number in range(3 * MAX_RESULTS):
        results.put(number.to_bytes(4), number)
        assert len(results._younger) + len(results._older) <= MAX_RESULTS
    assert results.get((3 * MAX_RESULTS - 1).to_bytes(4)) == 3 * MAX_RESULTS - 1
