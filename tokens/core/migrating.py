"""What migrations need besides Django's own operations."""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


class AddIndexAside(AddIndexConcurrently):
    """Add an index, on PostgreSQL without keeping anybody from writing meanwhile. The migration is not `atomic`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Add it."""
        how = AddIndexConcurrently if schema_editor.connection.vendor == "postgresql" else migrations.AddIndex
        how.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Remove it."""
        how = AddIndexConcurrently if schema_editor.connection.vendor == "postgresql" else migrations.AddIndex
        how.database_backwards(self, app_label, schema_editor, from_state, to_state)
