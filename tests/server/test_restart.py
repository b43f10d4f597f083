"""What outlives the server."""

from dataclasses import replace

import pytest

from tests.server.registry import free_port


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
