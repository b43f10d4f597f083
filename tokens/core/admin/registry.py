"""The admin of what is recorded: lists, minting with the secret shown once, verbs, timelines, exports. No deletion."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, SEARCH_VAR
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.decorators import display

from tokens.core import kinds
from tokens.core.admin import exports, listing
from tokens.core.admin.asking import Minted, VerbAdmin, related
from tokens.core.admin.forms import changes_in, remembering
from tokens.core.admin.links import log_about, page_of
from tokens.core.admin.listing import CappedPaginator, RegistryChangeList
from tokens.core.admin.verbs import operator
from tokens.core.admin.words import moment
from tokens.core.errors import AlreadyExists, Invalid, RegistryError
from tokens.core.models import AuditEvent, Recorded, is_id

# Nobody types more into a search; SQLite nests at most a thousand conditions.
MAX_WORDS = 50


def check_ids(request: HttpRequest, *names: str) -> None:
    """Raise `BadRequest` unless all values that go by `names` could be ids; the framework looks them up as they are."""
    values = [value for name in names for asked in (request.GET, request.POST) for value in asked.getlist(name)]
    if not all(map(is_id, filter(None, values))):
        raise BadRequest("What was selected has no ids.")


class LookupAdmin(ModelAdmin):
    """Lists that look up what their filters offer, and nothing that a database cannot."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether a filter offers it: asking how a digest begins, again and again, would tell all of it."""
        filters = ([one] if isinstance(one, str) else one for one in self.get_list_filter(request))
        offered = {getattr(one, "parameter_name", None) or one[0] for one in filters}
        name = lookup.partition(LOOKUP_SEP)[0]
        is_column = name == "pk" or name in {field.name for field in self.opts.get_fields()}
        return (name in offered or not is_column) and super().lookup_allowed(lookup, value, request)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list that `request` asks for. Raises `IncorrectLookupParameters`, also for what no database looks up."""
        asked = (value for name, values in request.GET.lists() for value in values if name != SEARCH_VAR)
        if any("\0" in value or (value.isdecimal() and not is_id(value)) for value in asked):
            raise IncorrectLookupParameters
        return super().get_changelist_instance(request)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """The rows in which each word of the term is found; none for more words than a database takes conditions."""
        if len(search_term.split()) > MAX_WORDS:
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, or what was chosen to be done with a selection. Raises `BadRequest` for one that is none."""
        check_ids(request, ACTION_CHECKBOX_NAME)
        return super().changelist_view(request, extra_context)

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """The form. Raises `BadRequest` for what cannot be related."""
        fields = (*self.opts.fields, *self.opts.many_to_many)
        check_ids(request, *(field.name for field in fields if field.is_relation))
        return super().changeform_view(request, object_id, form_url, extra_context)


class ListAdmin(LookupAdmin):
    """Lists that do not count all their rows, are searched by how a text begins, and can be taken away as a file."""

    actions_on_bottom = False
    list_per_page = 50
    list_max_show_all = 0
    list_filter_submit = False
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # it would count a million rows once for each line of a filter
    paginator = CappedPaginator
    ordering: Sequence[str] = ("-id",)
    list_after_template = "admin/registry/exports.html"
    list_title = ""
    icon = "key"
    export_formats: ClassVar[tuple[str, ...]] = ("csv", "json")
    documents: Any = staticmethod(exports.exported)

    def badge(self, request: HttpRequest) -> int:
        """The number beside the line in the sidebar that asks for attention; 0 shows none."""
        return 0

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """A list that finds its rows by indexes."""
        return RegistryChangeList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """The newest rows of which a search field begins with the term."""
        return self._found(request, queryset, search_term, search=listing.search), False

    def _found(self, request: HttpRequest, queryset: Any, search_term: str, *, search: Callable[..., Any]) -> Any:
        term, fields = search_term.strip(), self.get_search_fields(request)
        if "\0" in term or (term and not fields):  # PostgreSQL refuses to look it up; there is nowhere to look
            return queryset.none()
        return search(queryset, fields, term) if term else queryset

    def get_urls(self) -> list[URLPattern]:
        """The pages of the model, and the exports of its list."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export/<slug:format>/", self.admin_site.admin_view(self.export_view), name=name)
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest, format: str) -> HttpResponse:
        """All rows that the list's filters and search leave, as a file; back to the list from what makes no sense."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if format not in self.export_formats:
            raise Http404
        term, asked = request.GET.get(SEARCH_VAR, ""), request.GET.copy()
        asked.pop(SEARCH_VAR, None)  # the list finds no more by it than it shows
        request.GET = asked  # type: ignore[assignment]  # the stubs know of none but the first
        try:
            filtered = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{page_of(self.model, 'changelist')}?{ERROR_FLAG}=1")
        rows = self._found(request, filtered, term, search=listing.search_all)
        return cast(HttpResponse, self._exported(request, rows, format))

    def _exported(self, request: HttpRequest, queryset: QuerySet[Any], format: str) -> Any:
        rows = exports.in_batches(queryset, self.get_queryset(request).select_related(*related(self)))
        name = str(self.opts.verbose_name_plural).replace(" ", "-")
        return exports.export(rows, format=format, name=name, documents=self.documents)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The exports of a selection."""
        offered = {
            f"export_{name}": (self.export_action(name), f"export_{name}", f"Export as {name.upper()}")
            for name in self.export_formats
        }
        return {} if "_popup" in request.GET else offered

    def export_action(self, format: str) -> Any:
        """The action that exports a selection, as Django calls it."""

        def action(_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
            return self._exported(request, queryset, format)

        return action

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, under its own name."""
        title = self.list_title or str(self.opts.verbose_name_plural)
        context = {"title": capfirst(title), "export_formats": self.export_formats}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes: what was handed out stays on record."""
        return False


class HistoryAdmin(ListAdmin):
    """What happened, which nobody adds to or changes."""

    sortable_by: Sequence[str] = ()
    documents: Any = staticmethod(exports.documented)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """What happens writes itself."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What happened stays what happened."""
        return False

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """One thing that happened, under its own name."""
        title = capfirst(self.opts.verbose_name)
        return super().change_view(request, object_id, form_url, {"title": title, **(extra_context or {})})


class RegistryAdmin(VerbAdmin, ListAdmin):
    """An admin that writes through services alone.

    A subclass implements what its form and its `verbs` call, and a system check finds what it lacks:

    - `add(request, form)` makes what the form asks for, and returns the row and its secret, empty for what has none;
    - `change(request, row, changes)` changes fields of `row`; without it rows stay as they were made;
    - `rotate(request, row, grace)` gives `row` a new secret and returns it;
    - `set_locked(request, row, is_locked, reason)` locks or unlocks `row`, `end_tokens(request, row, reason)` ends all
      its tokens.

    Any of them may raise a `RegistryError`, which the operator sees as a message.

    The form of a stored row begins with its `facts`, and the fields that are `kept` stay as they were made.
    """

    facts: Sequence[str] = ()
    kept: Sequence[str] = ()
    add: Callable[[HttpRequest, Any], Minted]
    change: Callable[[HttpRequest, Any, dict[str, Any]], None]
    add_words = ""
    # What the form calls fields that services have other names for.
    form_names: ClassVar[dict[str, str]] = {}
    called: ClassVar[dict[str, str]] = {"add": "its form"}
    change_form_outer_after_template = "admin/registry/timeline.html"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever has Django's permission, where rows can be changed at all."""
        return hasattr(self, "change") and super().has_change_permission(request, obj)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What the form asks, and of a row what is known about it."""
        return self.fields if obj is None else (*self.facts, *self.fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Of a row the facts, and what is kept."""
        return self.readonly_fields if obj is None else (*self.readonly_fields, *self.facts, *self.kept)

    @display(description="Created", ordering="created_at")
    def shown_created(self, row: Any) -> SafeString | str:
        """Since when it is known."""
        return moment(row.created_at, never="")

    def revoke(self, request: HttpRequest, row: Recorded, reason: str) -> None:
        """End `row` for good."""
        kinds.get(row.kind).revoke(row, actor=operator(request), reason=reason)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form; that of a stored row knows what it showed, and changes nothing that others changed meanwhile."""
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form = remembering(form) if change else form
        refusal: RegistryError | None = request.META.get("registry.refusal")
        return form if refusal is None else refused(form, refusal, self.form_names)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Call the service."""
        if change:
            self.change(request, obj, changes_in(form))
        else:
            row, request.META["registry.secret"] = self.add(request, form)
            obj.__dict__.update(row.__dict__)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing: the service has stored relations with the row."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Nothing: the service has written the audit log."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Nothing: the service has written the audit log."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The form, with the verbs above it and the timeline below.

        What a service refuses is said there, with all that was typed; a race with somebody else is a message.
        """
        context = self._context_of(request, object_id) if object_id else adding(self.add_words)
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        context |= extra_context or {}
        try:
            return super().changeform_view(request, object_id, form_url, context)
        except (Invalid, AlreadyExists) as exc:
            request.META["registry.refusal"] = exc
            return super().changeform_view(request, object_id, form_url, context)
        except RegistryError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(request.get_full_path())

    def _context_of(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        row = self.get_object(request, object_id)
        if row is None:
            return {}
        context: dict[str, Any] = {"title": str(row), "subtitle": None, "offered": self.offered(request, row)}
        if request.user.has_perm("tokens.view_auditevent"):
            context["timeline"] = AuditEvent.objects.filter(kind=row.kind, object_id=str(row.pk))[:20]
            context["audit_url"] = log_about(row.kind, row.pk)
        return context

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """What happened to a row is in the audit log."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        return redirect(log_about(row.kind, row.pk))

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The page that shows the secret, or back to the row where there is none."""
        secret = request.META.pop("registry.secret", "")
        if secret:
            return self.shown_once(request, [(obj, secret)], done="minted")
        messages.success(request, f"Added {obj}.")
        return HttpResponseRedirect(self.url("change", obj.pk))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Back to the row."""
        messages.success(request, f"Saved {obj}.")
        return HttpResponseRedirect(self.url("change", obj.pk))


def refused(form: Any, refusal: RegistryError, form_names: Mapping[str, str]) -> Any:
    """The class `form`, but at fault for what a service refused: in the field that it names, if there is one."""
    named = getattr(refusal, "field", "")
    name = form_names.get(named, named)
    words = str(refusal).removeprefix(f"{named}: ")

    class RefusedForm(form):
        def clean(self) -> Any:
            """Say it."""
            data = super().clean()
            self.add_error(name if name in self.fields else None, capfirst(words))
            return data

    return RefusedForm


def adding(words: str) -> dict[str, Any]:
    """The context of the form for a new row: `words` is its title, and begins with the verb that the button says."""
    return {"title": words, "subtitle": None, "submit_words": words.partition(" ")[0]}
