"""`manage.py purge_tokens`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from rich.console import Console
from rich.progress import Progress

from podcast_perf import services
from tokens.core.commands import RegistryCommand, Usage, after, duration

MAX_BATCH, MAX_SECONDS = 100_000, 24 * 3600


class Command(RegistryCommand):
    """Delete performance tokens that expired long ago."""

    help = "Delete performance tokens that expired long ago, in batches, while the server goes on serving."
    example = "purge_tokens --older-than 30d --batch 5000 --max-seconds 300"

    def arguments(self, parser: CommandParser) -> None:
        """Add what to delete and how much of it at a time."""
        default = f"{settings.PERFORMANCE_TOKEN_KEEP_DAYS or services.KEPT.days}d"
        parser.add_argument(
            "--older-than", metavar=default, default=default, help=f"expired so long ago (default: {default})"
        )
        parser.add_argument("--batch", metavar="N", type=int, default=5000, help="rows a transaction (default: 5000)")
        parser.add_argument("--max-seconds", metavar="N", type=int, help="begin no batch after so long")
        parser.add_argument("--dry-run", action="store_true", help="count them and delete none")

    def run(self, options: dict[str, Any]) -> None:
        """Delete them, or count them."""
        older_than, batch, max_seconds = duration(options["older_than"]), options["batch"], options["max_seconds"]
        if not 1 <= batch <= MAX_BATCH:
            raise Usage(f"--batch must be a whole number from 1 to {MAX_BATCH}.")
        if max_seconds is not None and not 1 <= max_seconds <= MAX_SECONDS:
            raise Usage(f"--max-seconds must be a whole number from 1 to {MAX_SECONDS}.")
        expired = services.expired_before(after(-older_than))
        if options["dry_run"]:
            count = expired.count()
            self.report(f"{count} performance tokens would be deleted.", {"deleted": 0, "left": count})
            return
        with self._bar(expired.count) as progress:
            purged = services.purge(
                actor=self.actor,
                older_than=older_than,
                batch=batch,
                max_seconds=max_seconds,
                progress=progress,
            )
        left = expired.count()
        sentence = f"Deleted {purged.deleted} performance tokens; {left} are left to delete."
        self.report(sentence, {"deleted": purged.deleted, "left": left})

    @contextmanager
    def _bar(self, total: Callable[[], int]) -> Iterator[Callable[[int], None]]:
        """What is told of every batch: a progress bar on a terminal, nothing elsewhere."""
        if self.is_json or not self.stderr.isatty():
            yield lambda _: None
            return
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Deleting", total=total())
            yield lambda deleted: bar.advance(task, deleted)
