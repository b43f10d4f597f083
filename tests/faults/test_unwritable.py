"""A PostgreSQL that can be read and not written: its disk is full, or it is a replica."""

from contextlib import contextmanager

import psycopg
import pytest

from tests.faults.test_database_away import PROMPT_SECONDS, assert_unavailable, pair_of, timed, until_well

# What PostgreSQL does when it cannot extend a file, with its own code for that (53100).
FILL = """
CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'could not extend file: No space left on device';
END $$;
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE OR DELETE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION disk_is_full()', name);
    END LOOP;
END $$
"""
READ_ONLY = "ALTER DATABASE postgres SET default_transaction_read_only = on"
WRITABLE = "SET default_transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only"
# Sessions keep what they began with.
HANG_UP = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
)


@contextmanager
def full(connection):
    connection.execute(FILL)
    try:
        yield
    finally:
        connection.execute("DROP FUNCTION disk_is_full CASCADE")


@contextmanager
def read_only(connection):
    connection.execute(READ_ONLY)
    connection.execute(HANG_UP)
    try:
        yield
    finally:
        connection.execute(WRITABLE)
        connection.execute(HANG_UP)


def reads(server, bearer):
    return {
        "list": ("GET", "/_/token", None, bearer),
        "introspect": ("POST", "/introspect", {"token": server.bearer}, bearer),
        "refresh": ("POST", "/auth/v1/token/refresh", pair_of(server), {}),
        "ready": ("GET", "/readyz", None, {}),
    }


def writes(server, bearer, value):
    return {
        "create": ("POST", "/_/token", {"name": "not-stored"}, bearer),
        "update": ("PUT", "/_/token", {"name": "stored", "active": False}, bearer),
        "rotate": ("POST", "/_/token/rotate", {"name": "stored"}, bearer),
        "delete": ("DELETE", "/_/token", {"name": "stored"}, bearer),
        "revoke": ("POST", "/revoke", {"token": value}, {}),
        "value": ("GET", "/_/token/value?name=first", None, bearer),
        "key": ("POST", "/auth/v1/key", {"key": server.api_key}, {}),
        "podcast": ("GET", "/token", None, {"X_PUB_KEY": server.public_key}),
    }


@pytest.fixture(scope="module", params=[full, read_only])
def unwritable(request, server, database):
    """What each route answered meanwhile, and the one that creates afterwards."""
    until_well(server)
    bearer = {"Authorization": f"Bearer {server.bearer}"}
    created = server.call("POST", "/_/token", {"name": "stored"}, **bearer)
    assert created.status in {201, 409}
    value = server.call("GET", "/_/token/value?name=stored", **bearer).json()["data"][0]["token"]
    asked = reads(server, bearer), writes(server, bearer, value)
    with psycopg.connect(database.url, autocommit=True) as connection:
        # The uses of an hour ago: each is to be written anew.
        connection.execute("UPDATE tokens_namedtoken SET last_used_at = now() - interval '1 hour'")
        with request.param(connection):
            until_well(server)
            seen = {name: timed(server, call) for calls in asked for name, call in calls.items()}
    until_well(server)
    seen["value afterwards"] = timed(server, ("POST", "/introspect", {"token": value}, bearer))
    seen["create afterwards"] = timed(server, ("POST", "/_/token", {"name": request.param.__name__}, bearer))
    return seen


@pytest.mark.parametrize("name", ["create", "update", "rotate", "delete", "value", "revoke", "key"])
def test_answers_503_in_its_dialect_to_what_would_be_written(unwritable, name):
    answer, seconds = unwritable[name]
    assert_unavailable(answer, name)
    assert seconds < PROMPT_SECONDS


def test_says_of_a_podcast_token_what_the_document_says(unwritable):
    answer, _ = unwritable["podcast"]
    assert (answer.status, answer.json()) == (500, {"error": "Error generating token"})


@pytest.mark.parametrize("name", ["list", "introspect", "refresh", "ready"])
def test_serves_what_is_only_read(unwritable, name):
    assert unwritable[name][0].status == 200


def test_has_ended_nothing(unwritable):
    assert unwritable["value afterwards"][0].json()["active"] is True


def test_writes_again_afterwards(unwritable):
    assert unwritable["create afterwards"][0].status == 201


def test_writes_no_traceback_of_all_this(server):
    assert [line for line in server.log.splitlines() if "Traceback" in line] == []
