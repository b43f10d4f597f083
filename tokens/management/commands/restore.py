"""`manage.py restore`."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from tokens.core.command_line import Usage
from tokens.core.commands import RegistryCommand
from tokens.core.operations import backup


class Command(RegistryCommand):
    """Put back a copy of the embedded database."""

    help = (
        "Put a copy that `backup` made in place of the embedded database (SQLite), whose contents are kept in a file "
        "beside it. What was made or revoked since the copy is forgotten: credentials revoked since then work again."
    )
    example = "restore /var/backups/registry.sqlite3 --yes"

    def arguments(self, parser: CommandParser) -> None:
        """Add the file and the consent."""
        parser.add_argument("file", metavar="FILE", help="the copy")
        parser.add_argument("--yes", action="store_true", help="yes, forget what happened since the copy was made")

    def run(self, options: dict[str, Any]) -> None:
        """Put it back."""
        if not options["yes"]:
            raise Usage("This forgets what happened since the copy was made; say --yes if you mean it.")
        target = backup.database_file()
        keep = target.with_name(f"{target.stem}-before-restore-{timezone.now():%Y%m%dT%H%M%SZ}{target.suffix}")
        backup.restore(Path(options["file"]), keep=keep)
        kept = str(keep) if keep.exists() else None
        said = f" What was there before is in {kept}." if kept else ""
        self.report(
            f"Restored {options['file']}.{said} Run manage.py migrate.", {"file": options["file"], "kept": kept}
        )
