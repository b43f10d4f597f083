"""What can happen to an embedded database: somebody holds its lock, its disk is full, it may not be written."""

import sqlite3
import time

import pytest
from django.db import connection

from tests.core.wsgi import request
from tests.factories import ApiKeyFactory, NamedTokenFactory, secret_of, value_of
from tests.settings import IS_SQLITE

pytestmark = pytest.mark.skipif(not IS_SQLITE, reason="Runs with the tests on SQLite.")


@pytest.fixture
def pragma(transactional_db):
    """Set a pragma for the test."""
    undo = []

    def set_pragma(name, value):
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA {name}")
            undo.append((name, cursor.fetchone()[0]))
            cursor.execute(f"PRAGMA {name} = {value}")

    yield set_pragma
    with connection.cursor() as cursor:
        for name, value in undo:
            cursor.execute(f"PRAGMA {name} = {value}")


@pytest.fixture
def writes(transactional_db):
    """Requests that write."""
    bearer = f"Bearer {value_of(NamedTokenFactory(name='bearer'))}"
    key = secret_of(ApiKeyFactory())
    return [
        ("POST", "/_/token", b'{"name": "x%s"}' % (b"x" * 200), {"HTTP_AUTHORIZATION": bearer}),
        ("PUT", "/_/token", b'{"name": "bearer", "write": true, "active": false}', {"HTTP_AUTHORIZATION": bearer}),
        ("DELETE", "/_/token", b'{"name": "bearer"}', {"HTTP_AUTHORIZATION": bearer}),
        ("POST", "/auth/v1/key", b'{"key": "%s"}' % key.encode(), {}),
    ]


def test_answers_503_when_it_may_not_be_written(writes, pragma):
    pragma("query_only", 1)
    for method, path, body, headers in writes:
        answer = request(method, path, body, **headers)
        assert answer.status == 503
        assert answer.header("Retry-After")
        assert set(answer.json()) == ({"msg", "method"} if path.startswith("/auth") else {"error"})


def test_serves_what_is_only_read_when_it_may_not_be_written(writes, pragma):
    """Though the use of the bearer cannot be noted."""
    _, _, _, headers = writes[0]
    bearer = headers["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    pragma("query_only", 1)
    assert request("GET", "/_/token", **headers).status == 200
    assert request("POST", "/introspect", f"token={bearer}".encode(), **headers).json()["active"] is True


def test_answers_503_when_its_disk_is_full(writes, pragma):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        (pages,) = cursor.fetchone()
    pragma("max_page_count", pages)
    method, path, _, headers = writes[0]
    answers = [request(method, path, b'{"name": "%d%s"}' % (n, b"x" * 200), **headers) for n in range(200)]
    assert {answer.status for answer in answers} == {201, 503}
    assert answers[-1].header("Retry-After")


@pytest.fixture(scope="module")
def server(made):
    """A real server, because only another process can hold the lock of this one's database."""
    with made.serving():
        yield made


def test_answers_503_within_two_seconds_while_somebody_holds_its_lock(server):
    exchange = ("POST", "/auth/v1/key", {"key": server.api_key})
    assert server.call(*exchange).status == 200
    other = sqlite3.connect(f"{server.folder}/registry.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        begun = time.monotonic()
        answer = server.call(*exchange)
        assert time.monotonic() - begun < 2.5
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert server.call("GET", "/readyz").status == 200
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert server.call(*exchange).status == 200
