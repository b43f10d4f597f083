"""Lists of the admin that stay quick with a million rows: paging, filters, search, moments, exports."""

import csv
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR
from django.core.paginator import InvalidPage, Paginator
from django.db.models import Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, StreamingHttpResponse
from django.template.defaultfilters import pluralize
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.views import ChangeList

from tokens.core import audit
from tokens.core.models import Credential, Range, State
from tokens.core.postgresql import patience
from tokens.core.times import later

# Nobody pages further, and counting further would take a second.
MAX_LISTED = 1000
# How many rows may be looked at one by one.
FEW = 20_000
# How many rows a search may find, and among how many of the newest it looks for them where more than `FEW` are alike.
MAX_FOUND, RECENT = 1000, 100_000
# How many rows of an export are read at a time, and how long finding all of them may take.
EXPORTED, EXPORT_SECONDS = 1000, 25
# How a spreadsheet knows a formula, the full width of East Asian ones included, and what it skips before one.
FORMULAS = (*"=+-@\uff1d\uff0b\uff0d\uff20", "\t", "\r", "\n")
UNITS = ((365 * 86400, "year"), (30 * 86400, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # generic for the stubs alone
    """Pages of the first `MAX_LISTED` rows; how many there are beyond, it does not ask."""

    template_name = "admin/registry/pagination.html"

    @cached_property
    def count(self) -> int:
        """How many rows there are, `MAX_LISTED` if there are more."""
        rows: Any = self.object_list
        return len(rows) if isinstance(rows, list) else int(rows.order_by()[:MAX_LISTED].count())

    @property
    def is_capped(self) -> bool:
        """Whether there may be more rows than are paged through."""
        return self.count >= MAX_LISTED


class RegistryChangeList(ChangeList):
    """A list that asks for the ids of the first `MAX_LISTED` rows, and then for the rows of one page.

    A filter with `ranges()` says where an index finds its rows. Without, a database that expects many rows of a filter
    looks for them in the order of the list, through all others when it is wrong. What is filtered and sorted as well is
    sorted after it was found.
    """

    is_sorted_afterwards = False

    def get_results(self, request: HttpRequest) -> None:
        """Find the rows of the page."""
        ids = self.first_ids(request)
        self.paginator = self.model_admin.get_paginator(request, ids, self.list_per_page)
        self.result_count, self.full_result_count = len(ids), None
        self.show_full_result_count, self.show_admin_actions, self.can_show_all = False, True, False
        self.multi_page = self.result_count > self.list_per_page
        try:
            shown = self.paginator.page(self.page_num if self.multi_page else 1).object_list
        except InvalidPage:
            raise IncorrectLookupParameters from None
        rows = {row.pk: row for row in self.apply_select_related(self.root_queryset).filter(pk__in=shown).order_by()}
        self.result_list = [rows[pk] for pk in shown if pk in rows]

    def first_ids(self, request: HttpRequest) -> list[Any]:
        """The ids of what is paged through, in the order of the list."""
        ordered = self.queryset.values_list("pk", flat=True)
        is_sorted = bool(self.params.get(ORDER_VAR))
        told = (spec.ranges(self.model) for spec in self.filter_specs if hasattr(spec, "ranges"))
        ranges = next(filter(None, told), None)
        if ranges is not None and self.is_narrow(request):
            ranges = None
        if ranges is None and not (is_sorted and self.has_active_filters):
            return list(ordered[:MAX_LISTED])
        found: list[Any] = []
        for part in ranges or (Range(Q(), tuple(self._get_default_ordering())),):
            if len(found) < MAX_LISTED:
                found += ordered.filter(part.condition).order_by(*part.order)[: MAX_LISTED - len(found)]
        if is_sorted:
            self.is_sorted_afterwards = True
            rows = self.root_queryset.filter(pk__in=found).order_by(*self.queryset.query.order_by)
            return list(rows.values_list("pk", flat=True))
        return found if all(part.order for part in ranges or ()) else sorted(found, reverse=True)

    def is_narrow(self, request: HttpRequest) -> bool:
        """Whether the search, or the filters without ranges (those by owner), leave few enough rows to look at each."""
        rows = self.root_queryset
        given = [
            spec
            for spec in self.filter_specs
            if not hasattr(spec, "ranges") and not request.GET.keys().isdisjoint(spec.expected_parameters())
        ]
        for spec in given:
            rows = spec.queryset(request, rows)
        return bool(self.query or (given and rows.order_by()[:FEW].count() < FEW))


class StateFilter(admin.SimpleListFilter):
    """Credentials by what they are now."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The states that this kind knows."""
        known = {*model_admin.model.obstacles(timezone.now()), State.ACTIVE}
        return [(state.value, state.label) for state in reversed(State) if state in known]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The rows in the state that was chosen."""
        state = self.value()
        return queryset.in_state(State(state)) if state in State.values else queryset

    def ranges(self, model: type[Credential]) -> Sequence[Range] | None:
        """Where they are."""
        state = self.value()
        return model.ranges(State(state), now=timezone.now()) if state in State.values else None


class ExpiryFilter(admin.SimpleListFilter):
    """Credentials by when they end."""

    title = "expiry"
    parameter_name = "expires"
    WINDOWS: dict[str, tuple[str, timedelta, timedelta]] = {  # noqa: RUF012 — never changed
        "day": ("Within 24 hours", timedelta(0), timedelta(days=1)),
        "week": ("Within 7 days", timedelta(0), timedelta(days=7)),
        "month": ("Within 30 days", timedelta(0), timedelta(days=30)),
        "past": ("In the last 7 days", timedelta(days=-7), timedelta(0)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The windows."""
        return [*((name, words) for name, (words, _, _) in self.WINDOWS.items()), ("never", "Never")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The rows that end in the window that was chosen."""
        chosen = self.value()
        if chosen == "never":
            return queryset.filter(expires_at__isnull=True)
        if chosen in self.WINDOWS:
            _, begin, end = self.WINDOWS[chosen]
            now = timezone.now()
            return queryset.filter(expires_at__gt=later(now, begin), expires_at__lte=later(now, end))
        return queryset

    def ranges(self, model: type[Credential]) -> Sequence[Range] | None:
        """Where they are, what is nearest to this moment first."""
        order = "-expires_at" if self.value() == "past" else "expires_at"
        return (Range(Q(), (order,)),) if self.value() in self.WINDOWS else None


class ActionFilter(admin.SimpleListFilter):
    """Audit events by what was done."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All actions there are, without looking through the log for them."""
        values = (action.value for actions in audit.Action.__subclasses__() for action in actions)
        return [(value, verb_words(value)) for value in sorted(values, key=lambda value: value.split(":")[1:])]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The events of the action that was chosen."""
        return queryset.filter(action=self.value()) if self.value() else queryset


class ChannelFilter(admin.SimpleListFilter):
    """Audit events by the way that they came."""

    title = "channel"
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The ways in."""
        return [("api", "API"), ("admin", "Admin"), ("command", "Command"), ("system", "System")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The events that came the chosen way."""
        return queryset.filter(channel=self.value()) if self.value() else queryset


class PeriodFilter(admin.SimpleListFilter):
    """Audit events by when they happened."""

    title = "time"
    parameter_name = "since"
    PERIODS: dict[str, tuple[str, timedelta]] = {  # noqa: RUF012 — never changed
        "hour": ("The last hour", timedelta(hours=1)),
        "day": ("The last 24 hours", timedelta(days=1)),
        "week": ("The last 7 days", timedelta(days=7)),
        "month": ("The last 30 days", timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The periods."""
        return [(name, words) for name, (words, _) in self.PERIODS.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The events of the period that was chosen."""
        chosen = self.value()
        return queryset.filter(at__gte=timezone.now() - self.PERIODS[chosen][1]) if chosen in self.PERIODS else queryset


def verb_words(action: str) -> str:
    """An action in words: `edi_auth:api_key:mint` is "API key: mint"."""
    _, subject, verb = action.split(":")
    words = subject.replace("_", " ").replace("api ", "API ")
    return f"{capfirst(words)}: {verb.replace('_', ' ')}"


def search(queryset: "QuerySet[Any]", fields: Sequence[str], term: str) -> "QuerySet[Any]":
    """The newest rows of `queryset` of which one of `fields` begins with `term`, each looked up in its own index.

    A row's own fields are looked up in one query, and so are those of each row that it refers to (`owner__email`).
    """
    model, found = queryset.model, set[Any]()
    for relation, rows in _alike(model, fields, term):
        ids = _newest(rows)
        found.update(_newest(model._default_manager.filter(**{f"{relation}__in": ids})) if relation and ids else ids)
    return queryset.filter(pk__in=found)


def search_all(queryset: "QuerySet[Any]", fields: Sequence[str], term: str) -> "QuerySet[Any]":
    """All rows of `queryset` that `search` looks for, however many: for an export, which takes its time."""
    model = queryset.model
    found = [
        model._default_manager.filter(**{f"{relation}__in": rows}) if relation else rows
        for relation, rows in _alike(model, fields, term)
    ]
    first, *rest = (rows.order_by().values("pk") for rows in found)
    return queryset.filter(pk__in=first.union(*rest) if rest else first)


def _alike(model: type[Model], fields: Sequence[str], term: str) -> Iterator[tuple[str, "QuerySet[Any]"]]:
    """The rows of which one of `fields` begins with `term`, by the relation that leads there, empty for own fields."""
    alike: dict[str, list[str]] = {}
    for field in fields:
        relation, _, name = field.rpartition(LOOKUP_SEP)
        alike.setdefault(relation, []).append(name)
    for relation, names in alike.items():
        looked_up: Any = model._meta.get_field(relation).related_model if relation else model
        yield relation, looked_up._default_manager.filter(reduce(or_, (Q(**{f"{one}__begins": term}) for one in names)))


def _newest(rows: "QuerySet[Any]") -> list[Any]:
    """The ids of the newest `MAX_FOUND` of `rows`.

    Where there are more than `FEW`, they are looked for among the `RECENT` last of the table; if those are not enough,
    any others come after them: no index has the rows of a search in the order of their making.
    """
    ids = rows.order_by().values_list("pk", flat=True)
    found = sorted(ids[:FEW], reverse=True)
    if len(found) < FEW:
        return found[:MAX_FOUND]
    last = rows.model._default_manager.order_by("-pk").values_list("pk", flat=True)[0]
    recent = ids.filter(pk__gt=last - RECENT).order_by("-pk")[:MAX_FOUND]
    return list(dict.fromkeys([*recent, *found]))[:MAX_FOUND]


def relative(moment: datetime, *, now: datetime) -> str:
    """How far `moment` lies from `now`: "in 3 days", "5 minutes ago"."""
    seconds = (moment - now).total_seconds()
    for length, unit in UNITS:
        if abs(seconds) >= length:
            number = int(abs(seconds) // length)
            words = f"{number} {unit}{pluralize(number)}"
            return f"in {words}" if seconds > 0 else f"{words} ago"
    return "in a moment" if seconds > 0 else "just now"


def moment(value: datetime | None, *, never: str) -> SafeString | str:
    """A moment as people read it, relative, and exact below; `never` where there is none."""
    if value is None:
        return never
    return format_html(
        '<time datetime="{}" class="whitespace-nowrap">{}<br>'
        '<span class="text-xs text-font-subtle-light dark:text-font-subtle-dark">{}</span></time>',
        value.isoformat(),
        relative(value, now=timezone.now()),
        f"{value:%Y-%m-%d %H:%M} UTC",
    )


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
