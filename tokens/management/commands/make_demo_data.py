"""`manage.py make_demo_data`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tokens.core import demo, kinds, setup
from tokens.core.command_line import Usage
from tokens.core.commands import RegistryCommand
from tokens.core.operations import counters

CACHE_KIB = 256 * 1024


class Command(RegistryCommand):
    """Fill an empty registry with rows to look at."""

    help = "Make many credentials of every kind that can be stored, whose secrets nobody has. For trying things out."
    example = "make_demo_data --rows 1000"

    def arguments(self, parser: CommandParser) -> None:
        """How many."""
        parser.add_argument("--rows", type=int, metavar="N", default=1000, help="of each kind (default: 1000)")

    def run(self, options: dict[str, Any]) -> None:
        """Make them, and count them for the overview."""
        if not 0 < options["rows"] <= 10_000_000:
            raise Usage("--rows must be a whole number from 1 to 10000000.")
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":  # its own two megabytes would have it read the same pages over and over
                cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        try:
            with self._bar() as progress:
                for steps in setup.all_setups():
                    steps.make_demo_data(options["rows"], progress)
        except KeyboardInterrupt:
            raise CommandError("Interrupted. What was made until now is there, and on record.") from None
        finally:
            counters.recount(kinds.models().values(), now=timezone.now())
            if (
                connection.vendor == "postgresql"
            ):  # SQLite finds rows better by what it assumes, see docs/performance.md
                with connection.cursor() as cursor:
                    cursor.execute("ANALYZE")
        self.report(f"Made {options['rows']} of each kind.", {"rows": options["rows"]})

    @contextmanager
    def _bar(self) -> Iterator[demo.Progress]:
        """What is told of every batch: a progress bar for each sort of rows on a terminal, nothing elsewhere."""
        if self.is_json or not self.stderr.isatty():
            yield lambda _name, _done, _count: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            tasks: dict[str, Any] = {}

            def progress(name: str, done: int, count: int) -> None:
                if name not in tasks:
                    tasks[name] = bar.add_task(name, total=count)
                bar.update(tasks[name], completed=done)

            yield progress
