"""Calls of `/_/token` at the same time (the contract, "`/_/token`": names are unique)."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections

from tests.client import APIClient
from tests.factories import NamedTokenFactory
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 24


@pytest.fixture(autouse=True)
def threads_that_change_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(*calls: Callable[[APIClient], int]) -> list[int]:
    """The statuses of `calls`, each made by a thread with a client and a database connection of its own."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[APIClient], int]) -> int:
        try:
            client = APIClient()
            barrier.wait(timeout=10)
            return call(client)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(run, calls))


def call(method, body, bearer):
    return lambda client: client.call(method, "/_/token", body, bearer=bearer).status_code


def test_gives_a_name_to_one_of_two(bearer):
    for number in range(ROUNDS):
        post = call("POST", {"name": f"example-{number}"}, bearer)
        assert at_once(post, post) == [201, 409]
    assert NamedToken.objects.count() == ROUNDS + 1
    assert AuditEvent.objects.filter(action="tokens:named_token:mint").count() == ROUNDS


def test_deletes_for_one_of_two(bearer):
    for number in range(ROUNDS):
        NamedTokenFactory(name=f"example-{number}")
        delete = call("DELETE", {"name": f"example-{number}"}, bearer)
        assert at_once(delete, delete) == [200, 404]
    assert AuditEvent.objects.filter(action="tokens:named_token:revoke").count() == ROUNDS


def test_keeps_the_changes_of_both(bearer):
    for number in range(ROUNDS):
        token = NamedTokenFactory(name=f"example-{number}")
        changes = [{"active": False}, {"write": False}]
        assert at_once(*(call("PUT", {"name": token.name} | change, bearer) for change in changes)) == [200, 200]
        token.refresh_from_db()
        assert (token.is_active, token.can_write) == (False, False)


def test_leaves_one_token_however_the_name_changes_hands(bearer):
    NamedTokenFactory(name="example")
    for _ in range(ROUNDS):
        statuses = at_once(call("DELETE", {"name": "example"}, bearer), call("POST", {"name": "example"}, bearer))
        assert statuses in ([200, 201], [200, 409])
        if statuses == [200, 409]:
            assert call("POST", {"name": "example"}, bearer)(APIClient()) == 201
        assert NamedToken.objects.filter(name="example", revoked_at__isnull=True).count() == 1
