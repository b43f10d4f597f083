"""Clients that send half a body and stop: they block nobody, and are let go."""

import time

import pytest

from tests.server.registry import rest_of


def test_keeps_nobody_waiting(server, stalled):
    begun = time.monotonic()
    for _ in range(20):
        assert server.call("GET", "/auth/v1/ping").status == 200
        assert server.call("POST", "/auth/v1/key", {"key": server.api_key}).status == 200
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("which", [0, 1], ids=["length", "chunks"])
def test_is_told_that_its_body_did_not_arrive(stalled, which):
    answer = rest_of(stalled[which])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"msg":"The request body did not arrive."' in answer
