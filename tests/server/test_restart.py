"""What outlives the server."""

import signal
from dataclasses import replace

import psutil
import pytest

from tests.server.registry import PATIENCE_SECONDS, START_SECONDS, free_port, until


@pytest.fixture(scope="module")
def twice(idle):
    """The same registry, served twice one after the other on another port: what each gave out."""
    other = replace(idle, port=free_port())
    seen = []
    for _ in range(2):
        with other.serving():
            bearer = f"Bearer {other.bearer}"
            value = other.call("GET", "/_/token/value?name=first", Authorization=bearer).json()["data"][0]["token"]
            pair = other.call("POST", "/auth/v1/key", {"key": other.api_key}).json()
            earlier = seen[0][1] if seen else pair
            body = {"pasta-token": earlier["pasta-token"], "edi-token": earlier["edi-token"]}
            seen.append((value, pair, other.call("POST", "/auth/v1/token/refresh", body)))
    return seen


def test_gives_the_same_value_after_a_restart(idle, twice):
    assert [value for value, _, _ in twice] == [idle.bearer] * 2


def test_renews_tokens_from_before_a_restart(twice):
    assert [renewed.status for _, _, renewed in twice] == [200, 200]


def test_says_where_it_serves(idle, twice):
    assert idle.log.count("Serving at http://127.0.0.1:") >= 2


def test_ends_without_an_error(idle, twice):
    assert "Traceback" not in idle.log


def test_hands_over_to_a_new_server(idle):
    """USR2, then QUIT, as gunicorn has them: another server listens where the first does, which then ends."""
    other = replace(idle, port=free_port())
    with other.serving():
        first = psutil.Process(other.pid)
        first.send_signal(signal.SIGUSR2)
        until(lambda: any(is_ready(one) for one in first.children()), seconds=START_SECONDS)
        second = next(one for one in first.children() if is_ready(one))
        first.send_signal(signal.SIGQUIT)
        try:
            first.wait(PATIENCE_SECONDS)
            assert other.call("GET", "/_/token", Authorization=f"Bearer {other.bearer}").status == 200
        finally:
            second.terminate()
            psutil.wait_procs([second], timeout=PATIENCE_SECONDS)
    assert "Traceback" not in other.log


def is_ready(process):
    """Whether `process` is no worker, but a server that has workers."""
    return "__main__.py" in " ".join(process.cmdline()) and bool(process.children())
