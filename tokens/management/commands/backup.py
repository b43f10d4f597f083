"""`manage.py backup`."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from tokens.core.commands import RegistryCommand
from tokens.core.operations import backup


class Command(RegistryCommand):
    """Copy the embedded database."""

    help = (
        "Copy the embedded database (SQLite) to a file, while the server runs or not. Keys and secrets are not in it: "
        "keep copies of .env and of the key files too, in another place."
    )
    example = "backup /var/backups/registry.sqlite3"

    def arguments(self, parser: CommandParser) -> None:
        """Add the file."""
        parser.add_argument(
            "file", nargs="?", metavar="FILE", help="default: registry-<date and time>.sqlite3 in this folder"
        )

    def run(self, options: dict[str, Any]) -> None:
        """Copy it."""
        name = options["file"] or f"registry-{timezone.now():%Y%m%dT%H%M%SZ}.sqlite3"
        path = backup.backup(Path(name))
        size = path.stat().st_size
        self.report(f"Wrote {path} ({size:,} bytes).", {"file": str(path), "bytes": size})
