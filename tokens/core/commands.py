"""The base of the registry's commands: tables and sentences for people, JSON for programs, bare secrets for pipes."""

import getpass
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import IO, Any, cast

from django.core.management.base import CommandError, CommandParser
from django.db import Error
from django.template.defaultfilters import pluralize
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table
from rich.text import Text

from tokens.core.audit import Actor
from tokens.core.command_line import ExampleCommand, Usage
from tokens.core.errors import Invalid, RegistryError
from tokens.core.lifecycle import Minted
from tokens.core.models import RotatableCredential
from tokens.core.purging import Purged, counted

DURATION = re.compile(r"([0-9]{1,6})([smhdw])")
# A terminal would obey them, or write what follows backwards.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
NO_MOMENT = "That lies outside the years 1 to 9999."
MAX_BATCH, MAX_SECONDS = 100_000, 24 * 3600
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class RegistryCommand(ExampleCommand, ABC):
    """A command that calls a service. Exit codes: 0 done, 1 refused, 2 wrong usage.

    A subclass writes `run` and, if it has arguments, `arguments`.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """`--json` and the command's own arguments."""
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        self.arguments(parser)

    def arguments(self, parser: CommandParser) -> None:
        """Add what this command takes."""

    @abstractmethod
    def run(self, options: dict[str, Any]) -> None:
        """Do it, and tell through `report`, `report_rows` or `report_secret`."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command; a refusal is one sentence on standard error and exit code 1."""
        self.is_json = options["json"]
        try:
            self.run(options)
        except Invalid as exc:
            raise Usage(printable(str(exc))) from None
        except RegistryError as exc:
            raise CommandError(printable(str(exc))) from None
        except UnicodeEncodeError:
            raise Usage("An argument is not valid UTF-8.") from None
        except Error as exc:
            reason, _, _ = str(exc).partition("\n")
            raise CommandError(f"The database cannot be used: {reason}") from None
        except OSError as exc:
            raise CommandError(printable(f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc))) from None

    @property
    def actor(self) -> Actor:
        """Whoever runs the command, as the audit log names it."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = "unknown"
        return Actor(kind="command", channel="command", id=user, label=f"{user} (manage.py)")

    def report(self, sentence: str, document: Mapping[str, Any]) -> None:
        """Print `sentence` for people or `document` for programs."""
        self.stdout.write(json.dumps(document, default=str) if self.is_json else sentence)

    def report_secret(self, sentence: str, document: Mapping[str, Any], *, secret: str) -> None:
        """Print a fresh secret: alone on standard output when that is a pipe, everything else on standard error."""
        try:
            self._report_secret(sentence, document, secret=secret)
            self.stdout.flush()
        except OSError as exc:
            done = sentence.partition(". ")[0].rstrip(":")
            raise CommandError(
                f"{done}, but the secret cannot be written ({exc.strerror}) and is lost: rotate or revoke it."
            ) from None

    def _report_secret(self, sentence: str, document: Mapping[str, Any], *, secret: str) -> None:
        if self.is_json:
            self.stdout.write(json.dumps(document, default=str))
        elif self.stdout.isatty():
            self.stdout.write(sentence)
            self.stdout.write(secret)
            self.stdout.write("It is not shown again.")
        else:
            with suppress(OSError):  # whoever does not hear of it still gets the secret
                self.stderr.write(self.style.NOTICE(sentence))
            self.stdout.write(secret)

    def report_rows(self, columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> None:
        """Print rows as a table for people or as a JSON document `{"rows": [...]}`."""
        rows = list(rows)
        if self.is_json:
            self.stdout.write(json.dumps({"rows": rows}, default=str))
            return
        if not rows:
            self.stdout.write("There is nothing to list.")
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold")
        for row in rows:
            table.add_row(*(Text("-" if row[column] is None else printable(str(row[column]))) for column in columns))
        Console(file=cast(IO[str], self.stdout), width=None if self.stdout.isatty() else 200).print(table)

    def report_keys(self, rows: Iterable[Any]) -> None:
        """Print credentials that are random keys as a table, or `described` as a JSON document. No key is shown."""
        if self.is_json:
            self.report_rows((), map(described, rows))
            return
        lines = [
            {
                "id": row.pk,
                "name": row.name,
                "key": f"{row.preview}…",
                **({"owner": row.owner_label} if row.owner_label else {}),
                "state": str(row.state),
                "expires": shown(row.expires_at),
                "last_used": shown(row.last_used_at),
                "uses": row.use_count,
            }
            for row in rows
        ]
        self.report_rows(tuple(lines[0]) if lines else (), lines)

    @contextmanager
    def bar(self, words: str, *, total: Callable[[], int | None]) -> Iterator[Callable[[int], None]]:
        """What is told how many more are done: a progress bar on a terminal, nothing elsewhere."""
        if self.is_json or not self.stderr.isatty():
            yield lambda _: None
            return
        with Progress(
            *Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True), transient=True
        ) as bar:
            task = bar.add_task(words, total=total())
            yield lambda number: bar.advance(task, number)


class RotateCommand(RegistryCommand):
    """A command that replaces the secret of a credential. A subclass says of which.

    `named` is the metavar of the argument that names it and the help for that, `field` that of the JSON document which
    has the new secret.
    """

    named = ("NAME", "its name")
    field = "key"

    @abstractmethod
    def find(self, given: str) -> RotatableCredential:
        """What `given` names. Raises `NotFound`."""

    @abstractmethod
    def rotate(self, row: Any, grace: timedelta) -> Minted[Any]:
        """Replace its secret as the service does."""

    def words(self, row: Any) -> str:
        """What it is, in a sentence."""
        return f"the {row._meta.verbose_name} {row.name!r}"

    def document(self, row: Any) -> dict[str, Any]:
        """It as a JSON document, without a secret."""
        moments = ("rotated_at", "previous_valid_until", "previous_last_used_at")
        told = {name: iso(getattr(row, name)) for name in moments}
        return {"id": row.pk, "name": row.name, "preview": row.preview, **told}

    def arguments(self, parser: CommandParser) -> None:
        """Add what names it, `--grace` and `--show`."""
        metavar, words = self.named
        parser.add_argument("given", metavar=metavar, help=words)
        parser.add_argument(
            "--show", action="store_true", help="rotate nothing, but tell whether the old one is still used"
        )
        parser.add_argument(
            "--grace", default="24h", metavar="24h", help="0, 90s, 15m, 12h, 30d (default: %(default)s)"
        )

    def run(self, options: dict[str, Any]) -> None:
        """Rotate it, or show how far the last rotation is."""
        row = self.find(options["given"])
        if options["show"]:
            self.report(row.overlap(now=timezone.now()) or "No old secret works.", self.document(row))
            return
        row, secret = self.rotate(row, grace(options["grace"]))
        self.report_secret(
            f"Rotated {self.words(row)}. Its new secret:",
            self.document(row) | {self.field: secret},
            secret=secret,
        )


class PurgeCommand(RegistryCommand):
    """A command that deletes rows of long ago. A subclass says which, and how their age is told."""

    age = ""

    @property
    def default(self) -> str | None:
        """How old they are unless the command is told; None where it must be."""
        return None

    @abstractmethod
    def rows(self, moment: datetime) -> Any:
        """The rows from before `moment`."""

    @abstractmethod
    def purge(self, **given: Any) -> Purged:
        """Delete them as the service does that takes `given`."""

    def arguments(self, parser: CommandParser) -> None:
        """Add what to delete and how much of it at a time."""
        default = self.default
        parser.add_argument(
            "--older-than",
            metavar=default or "400d",
            default=default,
            required=default is None,
            help=f"{self.age} (default: {default})" if default else self.age,
        )
        parser.add_argument("--batch", metavar="N", type=int, default=5000, help="rows per transaction (default: 5000)")
        parser.add_argument("--max-seconds", metavar="N", type=int, help="begin no batch after so many seconds")
        parser.add_argument("--dry-run", action="store_true", help="count them and delete none")

    def run(self, options: dict[str, Any]) -> None:
        """Delete them, or count them."""
        older_than, batch, max_seconds = duration(options["older_than"]), options["batch"], options["max_seconds"]
        if not 1 <= batch <= MAX_BATCH:
            raise Usage(f"--batch must be a whole number from 1 to {MAX_BATCH}.")
        if max_seconds is not None and not 1 <= max_seconds <= MAX_SECONDS:
            raise Usage(f"--max-seconds must be a whole number from 1 to {MAX_SECONDS}.")
        moment = after(-older_than)
        rows = self.rows(moment)
        if options["dry_run"]:
            count = rows.count()
            self.report(f"{counted(rows, count)} would be deleted.", {"deleted": 0, "left": count})
            return
        with self.bar("Deleting", total=rows.count) as progress:
            purged = self.purge(
                actor=self.actor,
                older_than=older_than,
                batch=batch,
                max_seconds=max_seconds,
                progress=progress,
                now=moment + older_than,
            )
        left = rows.count()
        sentence = f"Deleted {purged}; {left} {pluralize(left, 'is,are')} left to delete."
        self.report(sentence, {"deleted": purged.deleted, "left": left})


def printable(text: str) -> str:
    """`text` without what a terminal would obey."""
    return CONTROLS.sub("�", text)


def add_reason(parser: CommandParser) -> None:
    """Add `--reason` to a command that ends something."""
    parser.add_argument("--reason", default="", metavar="R", help="kept in the audit log")


def add_validity(parser: CommandParser) -> None:
    """Add `--valid-from` and `--valid-to` to a command that makes a credential."""
    parser.add_argument("--valid-from", metavar="D", help="date, or date and time, in UTC (default: now)")
    parser.add_argument("--valid-to", metavar="D", help="date, or date and time, in UTC (default: for ever)")


def validity(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of them, as services take it. Raises `Usage`."""
    given = {"starts_at": options["valid_from"], "expires_at": options["valid_to"]}
    return {name: None if raw is None else moment(raw) for name, raw in given.items()}


def described(row: Any) -> dict[str, Any]:
    """A credential that is a random key, as a JSON document without the key."""
    moments = {"valid_from": row.starts_at, "valid_to": row.expires_at, "last_used_at": row.last_used_at}
    return {
        "id": row.pk,
        "name": row.name,
        "preview": row.preview,
        **({"owner": row.owner_label} if row.owner_label else {}),
        "state": str(row.state),
        **{name: iso(at) for name, at in moments.items()},
        "use_count": row.use_count,
    }


def iso(moment: datetime | None) -> str | None:
    """A moment, or that there is none, for a JSON document (ISO 8601)."""
    return None if moment is None else moment.isoformat()


def shown(moment: datetime | None) -> str:
    """A moment, or that there is none, for a table."""
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def duration(raw: str) -> timedelta:
    """A length of time such as `90s`, `15m`, `12h`, `30d`, `4w`. Raises `Usage`."""
    match = DURATION.fullmatch(raw)
    if match is None or int(match[1]) == 0:
        raise Usage(f"{raw!r} is not a duration; write for example 90s, 15m, 12h, 30d or 4w.")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def grace(raw: str) -> timedelta:
    """A grace: `0`, or a duration. Raises `Usage`."""
    return timedelta(0) if raw == "0" else duration(raw)


def after(length: timedelta) -> datetime:
    """The moment that lies `length` ahead (back, if it is negative). Raises `Usage` when the calendar has none."""
    try:
        return timezone.now() + length
    except OverflowError:
        raise Usage(NO_MOMENT) from None


def moment(raw: str) -> datetime:
    """A date (its first second, UTC) or an ISO 8601 date and time; without an offset it is UTC. Raises `Usage`."""
    try:
        parsed = parse_datetime(raw) if len(raw) > 10 else None
        day = parse_date(raw) if parsed is None else None
    except ValueError:
        parsed = day = None
    if day is not None:
        parsed = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if parsed is None:
        raise Usage(f"{raw!r} is not a date; write for example 2027-01-31 or 2027-01-31T12:00:00Z.")
    try:
        return parsed.astimezone(UTC) if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
    except OverflowError:
        raise Usage(NO_MOMENT) from None
