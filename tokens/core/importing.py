"""Records of another server, brought in from a file: what `manage.py import_records` takes.

The file has one JSON object on each line. Its `kind` says which importer takes it; each app registers its own in a
module `importing`, which is loaded when somebody imports and never in a server.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
from django.db import transaction
from django.utils.module_loading import autodiscover_modules
from rest_framework import serializers

from tokens.core import lifecycle
from tokens.core.audit import Actor
from tokens.core.errors import AlreadyExists, Forbidden, Invalid, RegistryError
from tokens.core.fields import first_sentence
from tokens.core.models import Credential, RotatableCredential

# A group of ten thousand members fits.
MAX_LINE_BYTES = 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What an importer finds where there is nothing to compare: a secret that was rotated away, a link.
PRESENT = object()


class Importer(ABC):
    """How records of one `kind`, which people call `label`, are brought in.

    `line` judges what stands on the line besides `kind`; what it returns are the `fields` of the methods. All may raise
    what services raise.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    line: ClassVar[serializers.Serializer[Any]]

    @abstractmethod
    def find(self, fields: dict[str, Any]) -> Any:
        """The row that the record has here already, in whatever state; `PRESENT`; or None."""

    @abstractmethod
    def add(self, fields: dict[str, Any], *, actor: Actor) -> Any:
        """Store the record. May take `fields` apart."""


class Updater(Importer):
    """An importer of rows that can be compared with their lines, and changed.

    `compared` are the fields that a row says in the same words, `fixed` those that cannot change once it is here.
    """

    compared: ClassVar[tuple[str, ...]]
    fixed: ClassVar[frozenset[str]] = frozenset()

    def values(self, row: Any) -> dict[str, Any]:
        """What `row` says of the fields that are compared."""
        return {name: getattr(row, name) for name in self.compared}

    @abstractmethod
    def update(self, row: Any, changes: dict[str, Any], *, actor: Actor) -> Any:
        """Make `row` say what `changes` say."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that was refused: its number, the kind and the name on it as far as they make sense, and why."""

    line: int
    kind: str
    name: str
    reason: str


@dataclass(slots=True)
class Imported:
    """What became of the lines: how many were read, are new, were changed, were here; which were refused."""

    lines: int = 0
    new: Counter[Importer] = field(default_factory=Counter)
    changed: int = 0
    present: int = 0
    refused: list[Refusal] = field(default_factory=list)


class MomentField(serializers.DateTimeField):
    """A date and time in ISO 8601; without an offset it is UTC."""

    default_error_messages = {  # noqa: RUF012 — DRF's own idiom: merged along the MRO, never changed
        "invalid": "must be a date and time such as 2027-01-31T12:00:00Z.",
        "overflow": "lies outside the years 1 to 9999.",
    }

    def to_internal_value(self, value: Any) -> Any:
        """The moment, with its time zone."""
        if not isinstance(value, str):
            self.fail("invalid")
        return super().to_internal_value(value)


def found(model: type[RotatableCredential], fingerprint: str) -> Any:
    """What `Importer.find` returns for a credential whose secret has this `fingerprint`."""
    row = model._default_manager.filter(model.had(fingerprint)).any()
    return row or (PRESENT if lifecycle.is_retired(model, fingerprint) else None)


_importers: dict[str, Importer] = {}


def register(importer: Importer) -> None:
    """Have `importer` take the lines of its kind."""
    _importers[importer.kind] = importer


def importers() -> dict[str, Importer]:
    """The importers of all apps, by kind."""
    autodiscover_modules("importing")
    return dict(_importers)


def bring_in(
    lines: Iterable[bytes],
    imported: Imported,
    *,
    actor: Actor,
    is_trial: bool = False,
    is_update: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Store what is on `lines`, each line in a transaction of its own, and note in `imported` what became of each.

    What is here already, and not as its line says, is refused; with `is_update` it is changed. A trial stores nothing:
    it does all in one transaction, which is undone. `progress` is called with 1 after each line.
    """
    known = importers()
    if is_trial:
        lines = list(lines)  # who writes them may take as long as they like, and hold nobody up
    with transaction.atomic() if is_trial else nullcontext():
        for number, line in enumerate(lines, start=1):
            text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            if text.strip():
                imported.lines += 1
                try:
                    _bring_in(text, known, imported, actor=actor, is_update=is_update)
                except RegistryError as exc:
                    imported.refused.append(Refusal(number, *_named(text, known), reason=str(exc)))
            progress(1)
        if is_trial:
            transaction.set_rollback(True)


def _bring_in(line: bytes, known: dict[str, Importer], imported: Imported, *, actor: Actor, is_update: bool) -> None:
    # A dump says null of what it does not know.
    fields = {name: value for name, value in _object(line).items() if value is not None}
    kind = fields.pop("kind", None)
    importer = known.get(kind) if isinstance(kind, str) else None
    if importer is None:
        raise Invalid("kind", f"kind: must be one of {', '.join(sorted(known))}.")
    try:
        fields = importer.line.run_validation(fields)
    except serializers.ValidationError as exc:
        raise Invalid("", first_sentence(exc.detail)) from None
    with transaction.atomic():
        row = importer.find(fields)
        changes: dict[str, str] = {}
        if row is None:
            importer.add(fields, actor=actor)
        elif isinstance(importer, Updater) and (changes := _changes(importer, row, fields)):
            if not is_update:
                raise AlreadyExists(f"It is here, with another {', '.join(changes)}; --update changes that.")
            importer.update(row, {name: fields[name] for name in changes.values()}, actor=actor)
    # Nothing counts that was not stored.
    if row is None:
        imported.new[importer] += 1
    elif changes:
        imported.changed += 1
    else:
        imported.present += 1


def _changes(importer: Updater, row: Any, fields: dict[str, Any]) -> dict[str, str]:
    """The fields that `row` says otherwise, by their names on the line. What was revoked is not looked at.

    Raises `Forbidden` when one of them cannot change.
    """
    if row is PRESENT or (isinstance(row, Credential) and row.revoked_at is not None):
        return {}
    values = importer.values(row)
    sources = {name: str(one.source or name) for name, one in importer.line.fields.items()}
    other = {
        name: source
        for name, source in sources.items()
        if source in values and source in fields and fields[source] != values[source]
    }
    fixed = [name for name, source in other.items() if source in importer.fixed]
    if fixed:
        raise Forbidden(f"It is here, with another {', '.join(fixed)}.")
    return other


def _named(line: bytes, known: dict[str, Importer]) -> tuple[str, str]:
    """The kind and the name on a line that was refused."""
    try:
        fields = _object(line)
    except Invalid:
        return "", ""
    kind, names = fields.get("kind"), (fields.get(name) for name in ("name", "idp_uid", "edi_id"))
    if not isinstance(kind, str) or kind not in known:
        return "", ""
    return kind, next((name[:64] for name in names if isinstance(name, str) and name), "")


def _object(line: bytes) -> dict[str, Any]:
    """The JSON object on `line`. Raises `Invalid`."""
    if len(line) > MAX_LINE_BYTES:
        raise Invalid("", "The line is longer than 1 MiB.")
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise Invalid("", "The line is not valid JSON in UTF-8; each line holds one whole object.") from None
    if not isinstance(fields, dict):
        raise Invalid("", "The line is not a JSON object.")
    return fields
