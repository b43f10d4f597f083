"""Operations for migrations of tables that may be large: on PostgreSQL requests go on while they run.

A migration that uses one says `atomic = False` and holds nothing but such operations, so that it can be run again after
whatever interrupted it. On SQLite, which keeps writers out meanwhile, they do the same in one transaction:

    from tokens.core.postgresql.operations import AddIndexOnline

    class Migration(migrations.Migration):
        atomic = False
        dependencies = [("tokens", "0002_roles")]
        operations = [AddIndexOnline("namedtoken", models.Index(fields=["name"], name="namedtoken_by_name"))]
"""

from typing import Any

from django.contrib.postgres.operations import AddConstraintNotValid, NotInTransactionMixin
from django.db import transaction
from django.db.migrations import AddConstraint, AddIndex, RemoveIndex
from django.db.migrations.state import ProjectState
from django.db.models import Index, Model


class Online(NotInTransactionMixin):
    """What these operations share."""

    atomic = False

    def add(self, schema_editor: Any, model: type[Model], index: Index) -> None:
        """Make `index`. What an attempt that was interrupted has left goes first: PostgreSQL keeps half an index."""
        name = schema_editor.quote_name(index.name)
        if self._is_postgresql(schema_editor):
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            schema_editor.add_index(model, index, concurrently=True)
        else:
            with transaction.atomic(schema_editor.connection.alias):
                schema_editor.execute(f"DROP INDEX IF EXISTS {name}")
                schema_editor.add_index(model, index)

    def remove(self, schema_editor: Any, model: type[Model], index: Index) -> None:
        """Drop `index`."""
        if self._is_postgresql(schema_editor):
            schema_editor.remove_index(model, index, concurrently=True)
        else:
            schema_editor.execute(f"DROP INDEX IF EXISTS {schema_editor.quote_name(index.name)}")

    def _is_postgresql(self, schema_editor: Any) -> bool:
        """Whether it is PostgreSQL. Raises `NotSupportedError` there within a transaction."""
        if schema_editor.connection.vendor != "postgresql":
            return False
        self._ensure_not_in_transaction(schema_editor)
        return True


class AddIndexOnline(Online, AddIndex):
    """Add an index while requests go on."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Make the index."""
        self.add(schema_editor, to_state.apps.get_model(app_label, self.model_name), self.index)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Drop the index."""
        self.remove(schema_editor, from_state.apps.get_model(app_label, self.model_name), self.index)


class RemoveIndexOnline(Online, RemoveIndex):
    """Remove an index while requests go on."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Drop the index."""
        index = from_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        self.remove(schema_editor, from_state.apps.get_model(app_label, self.model_name), index)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Make the index."""
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        self.add(schema_editor, to_state.apps.get_model(app_label, self.model_name), index)


class AddCheckOnline(Online, AddConstraintNotValid):
    """Add a check constraint: it holds for new rows at once, and the rows that are there are read without a lock."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Make the constraint."""
        if not self._is_postgresql(schema_editor):
            with transaction.atomic(schema_editor.connection.alias):
                AddConstraint.database_forwards(self, app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        table = schema_editor.quote_name(model._meta.db_table)
        name = schema_editor.quote_name(self.constraint.name)
        with transaction.atomic(schema_editor.connection.alias):
            schema_editor.limit_waiting()
            schema_editor.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        schema_editor.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Drop the constraint."""
        with transaction.atomic(schema_editor.connection.alias):
            if schema_editor.connection.vendor == "postgresql":
                schema_editor.limit_waiting()
            super().database_backwards(app_label, schema_editor, from_state, to_state)
