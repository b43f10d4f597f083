"""Records of another server, brought in from a file: what `manage.py import_records` takes.

The file has one JSON object on each line. Its `kind` says which importer takes it; each app registers its own in a
module `importing`, which is loaded when somebody imports and never in a server.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import transaction
from django.utils.module_loading import autodiscover_modules
from rest_framework import serializers

from tokens.core.audit import Actor
from tokens.core.errors import Invalid, RegistryError
from tokens.core.fields import first_sentence

# A group of ten thousand members fits.
MAX_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Importer:
    """How records of one `kind`, which people call `label`, are brought in.

    `line` judges what stands on the line besides `kind`. `store(actor, **fields)` stores it, and returns False where it
    is there already, in whatever state: what was ended since is not revived. It raises what services raise.
    """

    kind: str
    label: str
    line: serializers.Serializer[Any]
    store: Callable[..., bool]


@dataclass(slots=True)
class Imported:
    """What became of the lines: how many of each kind are new, how many were there, which were refused and why."""

    new: Counter[Importer] = field(default_factory=Counter)
    present: int = 0
    refused: dict[int, str] = field(default_factory=dict)


class MomentField(serializers.DateTimeField):
    """A date and time in ISO 8601; without an offset it is UTC."""

    default_error_messages = {  # noqa: RUF012 — DRF's own idiom: merged along the MRO, never changed
        "invalid": "must be a date and time such as 2027-01-31T12:00:00Z, or null.",
        "overflow": "lies outside the years 1 to 9999.",
    }

    def to_internal_value(self, value: Any) -> Any:
        """The moment, with its time zone."""
        if not isinstance(value, str):
            self.fail("invalid")
        return super().to_internal_value(value)


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
    *,
    actor: Actor,
    is_trial: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Store what is on `lines`, each line in a transaction of its own, and tell what became of them.

    A trial stores nothing: it does all in one transaction, which is undone. `progress` is called with 1 after each
    line.
    """
    imported, known = Imported(), importers()
    with transaction.atomic() if is_trial else nullcontext():
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    _bring_in(line, known, imported, actor=actor)
            except RegistryError as exc:
                imported.refused[number] = str(exc)
            progress(1)
        if is_trial:
            transaction.set_rollback(True)
    return imported


def _bring_in(line: bytes, known: dict[str, Importer], imported: Imported, *, actor: Actor) -> None:
    fields = _object(line)
    kind = fields.pop("kind", None)
    importer = known.get(kind) if isinstance(kind, str) else None
    if importer is None:
        raise Invalid("kind", f"kind: must be one of {', '.join(sorted(known))}.")
    try:
        fields = importer.line.run_validation(fields)
    except serializers.ValidationError as exc:
        raise Invalid("", first_sentence(exc.detail)) from None
    with transaction.atomic():
        is_new = importer.store(actor=actor, **fields)
    if is_new:
        imported.new[importer] += 1
    else:
        imported.present += 1


def _object(line: bytes) -> dict[str, Any]:
    """The JSON object on `line`. Raises `Invalid`."""
    if len(line) > MAX_LINE_BYTES:
        raise Invalid("", "The line is longer than 1 MiB.")
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise Invalid("", "The line is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise Invalid("", "The line is no JSON object.")
    return fields
