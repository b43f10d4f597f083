"""The operations of migrations that run beside requests, on the database of the tests."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from django.db import OperationalError, connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.utils import IntegrityError, NotSupportedError

from tests.factories import NamedTokenFactory
from tests.settings import IS_SQLITE
from tokens.core.postgresql.operations import AddCheckOnline, AddIndexOnline, Online, RemoveIndexOnline

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = "tokens_namedtoken"
INDEX = AddIndexOnline("namedtoken", models.Index(fields=["can_write"], name="namedtoken_new"))
CHECK = AddCheckOnline("namedtoken", models.CheckConstraint(condition=~models.Q(name="refused"), name="namedtoken_new"))
PREFIX = RemoveIndexOnline("namedtoken", "namedtoken_prefix")


def names() -> set[str]:
    """The indexes and constraints of the table, PostgreSQL's half ones included."""
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, TABLE))


def states_of(operation: Online) -> tuple[ProjectState, ProjectState]:
    before = MigrationLoader(None).project_state()
    after = before.clone()
    operation.state_forwards("tokens", after)
    return before, after


def applied(operation: Online) -> tuple[ProjectState, ProjectState]:
    """Apply `operation`, and return the states before and after it."""
    before, after = states_of(operation)
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("tokens", editor, before, after)
    return before, after


def undo(operation: Online, before: ProjectState, after: ProjectState) -> None:
    with connection.schema_editor(atomic=False) as editor:
        operation.database_backwards("tokens", editor, after, before)


@pytest.fixture(autouse=True)
def same_table_afterwards() -> Iterator[None]:
    before = names()
    yield
    assert names() == before


@pytest.mark.parametrize("operation", [INDEX, CHECK], ids=["index", "check"])
def test_adds_what_can_be_taken_back(operation):
    NamedTokenFactory(name="example")
    states = applied(operation)
    assert "namedtoken_new" in names()
    undo(operation, *states)
    assert "namedtoken_new" not in names()


def test_removes_what_can_be_brought_back():
    states = applied(PREFIX)
    assert "namedtoken_prefix" not in names()
    undo(PREFIX, *states)
    assert "namedtoken_prefix" in names()


@pytest.mark.parametrize("operation", [INDEX, CHECK], ids=["index", "check"])
def test_can_be_run_again_after_an_interruption(operation):
    applied(operation)
    # SQLite made the check in one transaction: there is nothing that an interruption could leave.
    states = states_of(operation) if operation is CHECK and IS_SQLITE else applied(operation)
    assert "namedtoken_new" in names()
    undo(operation, *states)


def test_holds_new_rows_against_the_check():
    states = applied(CHECK)
    with pytest.raises(IntegrityError):
        NamedTokenFactory(name="refused")
    undo(CHECK, *states)


def test_finds_rows_that_do_not_pass_the_check():
    token = NamedTokenFactory(name="refused")
    with pytest.raises(IntegrityError):
        applied(CHECK)
    token.delete()
    if not IS_SQLITE:
        undo(CHECK, *states_of(CHECK))


@pytest.mark.skipif(IS_SQLITE, reason="SQLite makes an index within a transaction.")
def test_says_that_it_wants_no_transaction():
    before, after = states_of(INDEX)
    with pytest.raises(NotSupportedError, match="atomic = False"), connection.schema_editor(atomic=True) as editor:
        INDEX.database_forwards("tokens", editor, before, after)


@pytest.mark.skipif(IS_SQLITE, reason="SQLite locks no table.")
@pytest.mark.parametrize(
    ("operation", "is_atomic"),
    [(migrations.AddField("namedtoken", "new", models.IntegerField(null=True)), True), (CHECK, False)],
    ids=["column", "check"],
)
def test_gives_up_soon_rather_than_have_requests_wait_behind_it(operation, is_atomic):
    before, after = states_of(operation)
    parameters = connection.get_connection_params()
    wanted = {name: parameters[name] for name in ("dbname", "host", "port", "user", "password") if parameters.get(name)}
    with closing(psycopg.connect(**wanted)) as other:
        other.execute(f"LOCK TABLE {TABLE} IN ROW EXCLUSIVE MODE")
        with (
            pytest.raises(OperationalError, match="lock timeout"),
            connection.schema_editor(atomic=is_atomic) as editor,
        ):
            operation.database_forwards("tokens", editor, before, after)
