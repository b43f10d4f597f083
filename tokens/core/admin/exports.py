"""Lists of the admin as files to keep: CSV, JSON, JSON lines."""

import csv
import json
from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import Model, QuerySet
from django.http import StreamingHttpResponse

from tokens.core.models import Credential
from tokens.core.postgresql import patience

# How many rows of an export are read at a time, and how long finding all of them may take.
EXPORTED, EXPORT_SECONDS = 1000, 25
# How a spreadsheet knows a formula, the full width of East Asian ones included, and what it skips before one.
FORMULAS = (*"=+-@\uff1d\uff0b\uff0d\uff20", "\t", "\r", "\n")


def exported(row: Any) -> dict[str, Any]:
    """What an export says of a row: what its audit events may say, and what became of it. No secret."""
    concrete = {field.attname for field in row._meta.concrete_fields}
    document: dict[str, Any] = {"id": row.pk}
    if isinstance(row, Credential):
        document |= {"state": row.state.value, "owner": row.owner_label}
    names = dict.fromkeys((*row.audit_fields, "created_at", "last_used_at", "previous_last_used_at", "use_count"))
    return document | {name: getattr(row, name) for name in names if name in concrete}


def documented(row: Model) -> dict[str, Any]:
    """All that a row says, for an export of what is no credential and holds no secret."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def in_batches(wanted: "QuerySet[Any]", rows: "QuerySet[Any]") -> Iterator[Any]:
    """All of `rows` that are in `wanted`, by id, as short queries: nothing in the database waits for who downloads."""
    if not wanted.query.where:
        ordered = rows.order_by("pk")
        batch = list(ordered[:EXPORTED])
        while batch:
            yield from batch
            batch = list(ordered.filter(pk__gt=batch[-1].pk)[:EXPORTED])
        return
    found = wanted.order_by().values_list("pk", flat=True)
    first = set(found[:EXPORTED])  # so that the download begins before all are found
    yield from rows.filter(pk__in=first).order_by("pk")
    with patience.of(EXPORT_SECONDS):
        ids = array("q", (pk for pk in found.iterator(chunk_size=10_000) if pk not in first))
    for begin in range(0, len(ids), EXPORTED):
        yield from rows.filter(pk__in=ids[begin : begin + EXPORTED].tolist()).order_by("pk")


def export(rows: Iterable[Model], *, format: str, name: str, documents: Any = exported) -> StreamingHttpResponse:
    """`rows` as a file to keep, sent while it is read: `csv`, `json` or `jsonl` (a JSON document on each line)."""
    lines = {"csv": _csv, "json": _json, "jsonl": _jsonl}[format](documents(row) for row in rows)
    types = {"csv": "text/csv; charset=utf-8", "json": "application/json", "jsonl": "application/x-ndjson"}
    return StreamingHttpResponse(
        lines,
        content_type=types[format],
        headers={"Content-Disposition": f'attachment; filename="{name}.{format}"', "Cache-Control": "no-store"},
    )


class _Echo:
    def write(self, text: str) -> str:
        return text


def _csv(documents: Iterator[dict[str, Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    for number, document in enumerate(documents):
        if number == 0:
            yield writer.writerow(document)
        yield writer.writerow(_cell(value) for value in document.values())


def _cell(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | dict):
        value = json.dumps(value, default=str)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def _json(documents: Iterator[dict[str, Any]]) -> Iterator[str]:
    separator = "["
    for document in documents:
        yield f"{separator}\n{_dumps(document)}"
        separator = ","
    yield "\n]\n" if separator == "," else "[]\n"


def _jsonl(documents: Iterator[dict[str, Any]]) -> Iterator[str]:
    return (f"{_dumps(document)}\n" for document in documents)


def _dumps(document: dict[str, Any]) -> str:
    return json.dumps(document, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value))
