"""No migration of ours keeps requests from a full table: every statement both ways, as PostgreSQL gets it.

`tokens/core/postgresql/operations.py` has the operations that a refused one is replaced by.
"""

import re
from collections.abc import Iterator

import pytest
from django.db import connections, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.utils import timezone

from tokens.core.postgresql.base import DatabaseWrapper
from tokens.core.postgresql.operations import AddCheckOnline, AddIndexOnline, Online, RemoveIndexOnline

pytestmark = pytest.mark.django_db

APPS = {"tokens", "podcast_perf", "edi_auth"}
CREATED = re.compile(r'CREATE TABLE "?(\w+)')
TABLE = re.compile(r'(?:ALTER TABLE|UPDATE|DELETE FROM|CREATE (?:UNIQUE )?INDEX .*? ON) "?(\w+)')
# What holds up every request that needs the table while all its rows are read or written, and what to do instead.
REFUSED = {
    r"CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)": "use AddIndexOnline, in a migration of its own with atomic = False",
    r"ADD CONSTRAINT .* CHECK (?!.*NOT VALID)": "use AddCheckOnline, in a migration of its own with atomic = False",
    r"ADD CONSTRAINT .* FOREIGN KEY (?!.*NOT VALID)": "add the column as null, which PostgreSQL need not check",
    r"ADD CONSTRAINT .* (UNIQUE|PRIMARY KEY|EXCLUDE)\b": "make an index with AddIndexOnline",
    r"ADD COLUMN .* (UNIQUE|PRIMARY KEY)\b": "add the column without, then the index with AddIndexOnline",
    r"ADD COLUMN .* (GENERATED|DEFAULT [^'].*\()": "add the column as null, and fill it in batches",
    r"ALTER COLUMN .* SET NOT NULL": "leave it null, or make it a check with AddCheckOnline",
    r"ALTER COLUMN .* TYPE ": "add a column, fill it in batches, and drop the old one in a later release",
    r"(UPDATE|DELETE FROM) ": "change rows in batches, in a migration of its own with atomic = False",
    r"RENAME (TO|COLUMN)": "servers of the release before use the old name until they are replaced",
}


class Editor(DatabaseWrapper.SchemaEditorClass):
    """Notes statements, runs none, and asks no server."""

    def execute(self, sql, params=()):
        self.collected_sql.append(str(sql))

    def _constraint_names(self, *args, **kwargs):
        return []


@pytest.fixture
def editor() -> Iterator[Editor]:
    """Of a PostgreSQL that is not there."""
    nowhere = DatabaseWrapper({**connections.settings["default"], "OPTIONS": {}, "NAME": "nowhere"}, alias="default")
    with Editor(nowhere, collect_sql=True, atomic=False) as editor:
        yield editor


def complaints(migration: migrations.Migration, statements: list[str]) -> list[str]:
    """What is wrong with the statements of `migration`."""
    created = {table for sql in statements for table in CREATED.findall(sql)}
    found = []
    if not migration.atomic and not all(
        isinstance(each, Online | migrations.RunPython) for each in migration.operations
    ):
        found.append(
            "atomic = False is for operations that run beside requests: nothing else gives up waiting for a lock"
        )
    for sql in statements:
        table = TABLE.search(sql)
        if table is not None and table[1] not in created:
            found += [f"{sql}: {instead}" for pattern, instead in REFUSED.items() if re.search(pattern, sql)]
        if migration.atomic and re.search(r"CONCURRENTLY|VALIDATE CONSTRAINT", sql):
            found.append(f"{sql}: say atomic = False in this migration, and have nothing else in it")
    return found


def ours() -> list[tuple[migrations.Migration, ProjectState]]:
    """Our migrations, each with the state that it begins from."""
    loader = MigrationLoader(None)
    plan = [key for leaf in sorted(loader.graph.leaf_nodes()) for key in loader.graph.forwards_plan(leaf)]
    nodes = [key for key in dict.fromkeys(plan) if key[0] in APPS]
    return [(loader.graph.nodes[key], loader.project_state(key, at_end=False)) for key in nodes]


def statements_of(editor: Editor) -> list[str]:
    """The statements since the last time, without remarks."""
    noted, editor.collected_sql = [*editor.collected_sql, *map(str, editor.deferred_sql)], []
    editor.deferred_sql = []
    return [" ".join(sql.split()) for sql in noted if not sql.startswith("--")]


@pytest.mark.parametrize(("migration", "state"), ours(), ids=lambda each: str(each)[:50])
def test_keeps_nobody_from_a_full_table(editor: Editor, migration: migrations.Migration, state: ProjectState):
    migration.apply(state.clone(), editor, collect_sql=True)
    assert complaints(migration, statements_of(editor)) == []
    migration.unapply(state.clone(), editor, collect_sql=True)
    assert complaints(migration, statements_of(editor)) == []


NAME = models.Index(fields=["can_write"], name="namedtoken_new")
CHECK = models.CheckConstraint(condition=models.Q(name__gt=""), name="namedtoken_new")
LONG = [
    migrations.AddIndex("namedtoken", NAME),
    migrations.AddField("namedtoken", "new", models.IntegerField(null=True, db_index=True)),
    migrations.AddField("namedtoken", "new", models.IntegerField(null=True, unique=True)),
    migrations.AddField("namedtoken", "new", models.DateTimeField(db_default=models.functions.Now())),
    migrations.AddConstraint("namedtoken", CHECK),
    migrations.AddConstraint("namedtoken", models.UniqueConstraint(fields=["updated_at"], name="namedtoken_new")),
    migrations.AddConstraint(
        "namedtoken",
        models.UniqueConstraint(fields=["name"], name="namedtoken_new", condition=models.Q(can_write=True)),
    ),
    migrations.AlterField("namedtoken", "name", models.TextField()),
    migrations.AlterField("namedtoken", "expires_at", models.DateTimeField(default=timezone.now)),
    migrations.AlterField("namedtoken", "can_write", models.BooleanField(default=True, db_index=True)),
    migrations.RenameField("namedtoken", "can_write", "is_writer"),
    migrations.RunSQL(
        "UPDATE tokens_namedtoken SET is_active = true".replace("tokens_namedtoken", '"tokens_namedtoken"')
    ),
]
SHORT = [
    AddIndexOnline("namedtoken", NAME),
    RemoveIndexOnline("namedtoken", "namedtoken_by_name"),
    AddCheckOnline("namedtoken", CHECK),
    migrations.AddField("namedtoken", "new", models.IntegerField(null=True)),
    migrations.AddField("namedtoken", "new", models.CharField(default="", db_default="", max_length=9)),
    migrations.RemoveField("namedtoken", "last_used_at"),
]


def described(operation: migrations.operations.base.Operation) -> str:
    return operation.describe()


@pytest.mark.parametrize("operation", LONG, ids=described)
def test_refuses_what_takes_long(editor: Editor, operation):
    assert complaints(of(operation), written(operation, editor)) != []


@pytest.mark.parametrize("operation", SHORT, ids=described)
def test_lets_through_what_does_not(editor: Editor, operation):
    is_atomic = not isinstance(operation, Online)
    assert complaints(of(operation, atomic=is_atomic), written(operation, editor)) == []


@pytest.mark.parametrize("operation", SHORT[:3], ids=described)
def test_wants_a_migration_without_a_transaction_for_what_runs_beside_requests(editor: Editor, operation):
    assert "atomic = False" in complaints(of(operation), written(operation, editor))[0]


def test_wants_a_transaction_for_everything_else(editor: Editor):
    assert complaints(of(SHORT[-1], atomic=False), written(SHORT[-1], editor)) != []


def of(operation, *, atomic=True):
    migration = migrations.Migration("new", "tokens")
    migration.operations, migration.atomic = [operation], atomic
    return migration


def written(operation, editor: Editor) -> list[str]:
    """The statements of one operation upon the newest state."""
    before = MigrationLoader(None).project_state()
    after = before.clone()
    operation.state_forwards("tokens", after)
    operation.database_forwards("tokens", editor, before, after)
    return statements_of(editor)
