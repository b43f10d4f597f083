"""`manage.py import_records`."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError, CommandParser
from django.template.defaultfilters import pluralize

from tokens.core import importing
from tokens.core.commands import RegistryCommand, printable
from tokens.core.importing import MAX_LINE_BYTES, Imported


class Command(RegistryCommand):
    """Bring in records of another server."""

    help = (
        "Bring in named tokens, publishers, profiles, groups and API keys from another server, which go on working "
        "here. The file has one JSON object per line; docs/moving.md says what is in it. What is here already stays as "
        "it is, so the same file can be imported again."
    )
    example = "import_records records.jsonl --dry-run"

    def arguments(self, parser: CommandParser) -> None:
        """Add the file, and what to do with it."""
        parser.add_argument("file", metavar="FILE", help="the file, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument(
            "--update", action="store_true", help="change what is here already but differs from its line (else: refuse)"
        )

    def run(self, options: dict[str, Any]) -> None:
        """Bring them in. Exit 1 when a line was refused; all others are stored."""
        is_trial, imported = options["dry_run"], Imported()
        actor = replace(self.actor, label=f"{self.actor.id} (manage.py import_records)")
        path = Path("/dev/stdin" if options["file"] == "-" else options["file"])
        try:
            with path.open("rb") as file, self.bar("Importing", total=lambda: None) as advance:
                importing.bring_in(
                    lines(file),
                    imported,
                    actor=actor,
                    is_trial=is_trial,
                    is_update=options["update"],
                    progress=advance,
                )
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            if imported.lines:
                self._tell(imported, is_trial=is_trial)
        if not imported.lines:
            raise CommandError("There is nothing to import.")
        if imported.refused:
            sys.exit(1)

    def _tell(self, imported: Imported, *, is_trial: bool) -> None:
        for one in imported.refused:
            who = f", {one.kind} {one.name!r}" if one.name else f", {one.kind}" if one.kind else ""
            self.stderr.write(printable(f"line {one.line}{who}: {one.reason}"))
        self.report(sentence(imported, is_trial=is_trial), document(imported, is_trial=is_trial))


def lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of `file`; of one that is too long no more than shows that."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1) or b"\n"


def sentence(imported: Imported, *, is_trial: bool) -> str:
    """What became of the lines, for people."""
    new = [f"{number} {importer.label}{pluralize(number)}" for importer, number in imported.new.items()]
    changed = f"changed {imported.changed}, " if imported.changed else ""
    refused = len(imported.refused)
    return (
        f"{'Would have imported' if is_trial else 'Imported'} {', '.join(new) or 'nothing'}; {changed}"
        f"{imported.present} {pluralize(imported.present, 'was,were')} here already, "
        f"{refused} {pluralize(refused, 'was,were')} refused."
    )


def document(imported: Imported, *, is_trial: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "dry_run": is_trial,
        "imported": {importer.kind: number for importer, number in imported.new.items()},
        "changed": imported.changed,
        "present": imported.present,
        "refused": [asdict(refusal) for refusal in imported.refused],
    }
