"""Who takes a connection when another worker has fewer of them."""

import os
import socket
from contextlib import closing
from importlib import import_module
from types import SimpleNamespace

import pytest

from config import balance, worker
from config.worker import LEAVE_SECONDS

OURS, OTHER = 1, 2


@pytest.fixture(autouse=True)
def numbers():
    """Nobody else is there before the test, nor after it."""
    yield
    for age in (OURS, OTHER):
        balance.tell(age, balance.ABSENT)


@pytest.fixture
def clock(monkeypatch):
    """The time, in seconds, that the worker is told."""
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def ours(monkeypatch, clock, unstarted):
    """A worker that accepts, at a listener where two clients have connected."""
    monkeypatch.setattr(unstarted, "enqueue_req", lambda conn: conn.close())
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        unstarted.age, unstarted.sockets = OURS, [listener]
        unstarted.set_accept_enabled(True)
        with socket.create_connection(listener.getsockname()), socket.create_connection(listener.getsockname()):
            yield unstarted


def listens(ours):
    """Whether the kernel tells the worker of clients."""
    return ours.sockets[0].fileno() in ours.poller.get_map()


def test_leaves_a_connection_for_a_moment_to_a_worker_that_has_less_than_half_as_many(ours, clock):
    balance.tell(OTHER, 2)
    ours.nr_conns = 7
    assert not ours.accept(ours.sockets[0])
    ours.set_accept_enabled(True)
    assert (listens(ours), ours.nr_conns) == (False, 7)
    clock.now += LEAVE_SECONDS
    ours.set_accept_enabled(True)
    assert listens(ours)
    assert ours.accept(ours.sockets[0])
    assert ours.nr_conns == 8
    assert not ours.accept(ours.sockets[0])  # the next is left anew
    assert ours.nr_conns == 8


@pytest.mark.parametrize(("number", "others"), [(0, 0), (2, 0), (6, 2), (3, balance.ABSENT)])
def test_takes_a_connection_when_no_other_worker_has_less_than_half_as_many(ours, number, others):
    balance.tell(OTHER, others)
    ours.nr_conns = number
    assert ours.accept(ours.sockets[0])
    assert balance.fewest() == min(number + 1, others)


def test_leaves_none_to_a_worker_that_has_ended(ours, monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    balance.tell(OTHER, 0)
    import_module("config.gunicorn").child_exit(None, SimpleNamespace(pid=1, age=OTHER))
    ours.nr_conns = 7
    assert ours.accept(ours.sockets[0])


def test_takes_all_that_have_connected_when_it_stops_and_is_left_none(ours):
    balance.tell(OTHER, 0)
    balance.tell(OURS, 7)
    ours.nr_conns, ours.alive = 7, False
    ours.set_accept_enabled(False)
    assert ours.nr_conns == 9
    balance.tell(OTHER, balance.ABSENT)
    assert balance.fewest() == balance.ABSENT


def test_is_told_by_other_processes():
    if not (pid := os.fork()):
        balance.tell(OTHER, 5)
        os._exit(0)
    os.waitpid(pid, 0)
    assert balance.fewest() == 5
