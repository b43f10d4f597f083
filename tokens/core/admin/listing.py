"""Lists of the admin that stay quick with a million rows: paging and search."""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR
from django.core.paginator import InvalidPage, Paginator
from django.db.models import Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.views import ChangeList

from tokens.core.models import Range

# Nobody pages further, and counting further would take a second.
MAX_LISTED = 1000
# How many rows may be looked at one by one.
FEW = 20_000
# How many rows a search may find, and among how many of the newest it looks for them where more than `FEW` are alike.
MAX_FOUND, RECENT = 1000, 100_000


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
