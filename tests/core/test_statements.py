"""What PostgreSQL parses and plans once for each connection, and what it does not."""

from contextlib import closing

import pytest
from django.db import NotSupportedError, OperationalError, connection
from psycopg.pq import ExecStatus

from tests.factories import NamedTokenFactory
from tests.settings import IS_SQLITE
from tokens.core.postgresql import Repeated
from tokens.models import NamedToken
from tokens.services import named

pytestmark = [
    pytest.mark.skipif(IS_SQLITE, reason="Runs with the tests on PostgreSQL."),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture(autouse=True)
def _fresh():
    """A connection that has prepared nothing, and whose settings end with the test."""
    leave()
    yield
    leave()


def leave():
    """Leave the connection and its pool."""
    connection.close()
    connection.close_pool()


def prepared():
    """The statements that the connection has prepared."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def test_prepares_what_busy_paths_run():
    name = NamedTokenFactory().name
    for _ in range(3):
        assert named(name).name == name
    assert ["tokens_namedtoken" in statement for statement in prepared()] == [True]


def test_prepares_nothing_else():
    name = NamedTokenFactory().name
    for _ in range(10):
        assert NamedToken.objects.filter(name=name).exists()
    assert prepared() == []


def test_prepares_the_insert_of_a_mint(api, settings):
    for _ in range(3):
        assert api.call("GET", "/token", headers={"X-PUB-KEY": settings.PERFORMANCE_PUBLIC_KEY}).status_code == 200
    assert len([statement for statement in prepared() if statement.startswith("WITH stored AS (INSERT INTO")]) == 1


def test_prepares_nothing_where_it_is_told_so():
    connection.ensure_connection()
    connection.connection.prepare_threshold = None
    name = NamedTokenFactory().name
    assert named(name).name == name
    assert prepared() == []


def test_leaves_it_to_whoever_says_so():
    """As psycopg does, which has a method of the connection and the check of its pool run statements this way."""
    connection.ensure_connection()
    for prepare in (None, False, True):
        connection.connection.execute(f"SELECT 'prepare {prepare}'", prepare=prepare)
    assert prepared() == ["SELECT 'prepare True'"]


def test_plans_anew_after_a_migration_that_changes_a_column():
    """The plan of the connection is for the old column: whoever asks is told to come again."""
    statement = Repeated("SELECT value FROM changing WHERE value IS NOT NULL")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE changing (value integer)")
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        with closing(connection.copy()) as other, other.cursor() as cursor:
            cursor.execute("ALTER TABLE changing ALTER value TYPE text")
            cursor.execute("INSERT INTO changing VALUES ('now')")
        with pytest.raises(OperationalError), connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close_if_unusable_or_obsolete()
        with connection.cursor() as cursor:
            cursor.execute(statement)
            assert cursor.fetchall() == [("now",)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE changing")


@pytest.mark.parametrize("is_known", [True, False], ids=["missing", "taken"])
def test_prepares_anew_when_a_pooler_has_put_another_session_behind_it(caplog, is_known):
    name = NamedTokenFactory().name
    if is_known:
        assert named(name).name == name
        behind(connection.connection, "DEALLOCATE ALL")
    else:
        behind(connection.connection, "PREPARE _pg3_0 AS SELECT 1")
    with pytest.raises(OperationalError):
        named(name)
    assert "prepare_threshold=none" in caplog.text
    connection.close_if_unusable_or_obsolete()
    assert named(name).name == name


def behind(session, statement):
    """Run `statement` without psycopg's knowledge."""
    assert session.pgconn.exec_(statement.encode()).status == ExecStatus.COMMAND_OK


def test_leaves_to_others_what_is_not_supported():
    with pytest.raises(NotSupportedError), connection.cursor() as cursor:
        cursor.execute("SELECT 1 UNION SELECT 2 FOR UPDATE")
    assert connection.is_usable()
