"""`manage.py introspect`."""

import getpass
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from tokens.core import kinds
from tokens.core.commands import RegistryCommand
from tokens.core.models import Credential, State

SETTING = "a setting"


class Command(RegistryCommand):
    """Say of credentials whether they work here."""

    help = (
        "Say what secrets and tokens of any kind are, and whether they work here. They are read from a file, one per "
        "line, or typed unseen; none is shown, stored or counted as used. Exit 1 when one does not work."
    )
    example = "introspect old-tokens.txt"

    def arguments(self, parser: CommandParser) -> None:
        """Add the file."""
        parser.add_argument(
            "file", metavar="FILE", nargs="?", default="-", help="the file, or - for standard input (default)"
        )

    def run(self, options: dict[str, Any]) -> None:
        """Judge each line."""
        rows = [{"line": number, **judged(raw)} for number, raw in credentials(options["file"])]
        if not rows:
            raise CommandError("There is nothing to look up.")
        self.report_rows(("line", "kind", "name", "state"), rows)
        if not all(row["active"] or row["state"] == SETTING for row in rows):
            sys.exit(1)


def credentials(name: str) -> Iterator[tuple[int, str]]:
    """The lines of the file `name` that are not empty, with their numbers; `-` is standard input. Raises `OSError`."""
    if name == "-" and sys.stdin.isatty():
        lines = [getpass.getpass("Secret or token: ")]
    else:
        lines = Path("/dev/stdin" if name == "-" else name).read_text(errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if raw := kinds.pasted(line):
            yield number, raw


def judged(raw: str) -> dict[str, Any]:
    """What `raw` is, whose and in what state; of what can be used its claims, too. Raises `Unavailable`."""
    usable, found = kinds.verify(raw, now=timezone.now()), kinds.find(raw)
    kind, row = (found[0].name, found[1]) if found else (None, None)
    name = None if row is None else str(row)
    if usable is not None:
        kind, name = usable.kind, name or usable.claims["sub"]
        state = "active, by its old secret" if usable.is_previous else str(State.ACTIVE)
    elif isinstance(row, Credential):
        state = "replaced" if row.state == State.ACTIVE else str(row.state)
    elif row is not None:
        state = "expired or ended"
    else:
        name = kinds.setting_of(raw) or None
        state = SETTING if name else "unknown"
    told = {"kind": kind, "name": name, "active": usable is not None, "state": state}
    return told | (usable.claims if usable else {})
