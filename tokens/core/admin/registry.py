"""The admin of what is recorded: lists, minting with the secret shown once, verbs, timelines, exports. No deletion."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.auth import get_permission_codename
from django.core.checks import CheckMessage, Error
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.text import capfirst
from unfold.admin import ModelAdmin

from tokens.core import kinds
from tokens.core.admin import listing
from tokens.core.admin.links import log_about, page_of
from tokens.core.admin.listing import CappedPaginator, RegistryChangeList
from tokens.core.admin.verbs import Verb, operator
from tokens.core.errors import RegistryError
from tokens.core.models import AuditEvent, Recorded

Minted = tuple[Model, str]


class ListAdmin(ModelAdmin):
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
    documents: Any = staticmethod(listing.exported)

    def badge(self, request: HttpRequest) -> int:
        """The number beside the line in the sidebar that asks for attention; 0 shows none."""
        return 0

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """A list that finds its rows by indexes."""
        return RegistryChangeList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """The rows of which a search field begins with the term."""
        term = search_term.strip()
        return (listing.search(queryset, self.get_search_fields(request), term) if term else queryset), False

    def get_urls(self) -> list[URLPattern]:
        """The pages of the model, and the exports of its list."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export/<slug:format>/", self.admin_site.admin_view(self.export_view), name=name)
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest, format: str) -> HttpResponse:
        """All rows that the list's filters and search leave, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if format not in self.export_formats:
            raise Http404
        return cast(HttpResponse, self._exported(request, self.get_changelist_instance(request).queryset, format))

    def _exported(self, request: HttpRequest, queryset: QuerySet[Any], format: str) -> Any:
        related = self.list_select_related if isinstance(self.list_select_related, list | tuple) else ()
        rows = listing.in_batches(queryset, self.get_queryset(request).select_related(*related))
        name = str(self.opts.verbose_name_plural).replace(" ", "-")
        return listing.export(rows, format=format, name=name, documents=self.documents)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The exports of a selection."""
        exports = {
            f"export_{name}": (self.export_action(name), f"export_{name}", f"Export as {name.upper()}")
            for name in self.export_formats
        }
        return {} if "_popup" in request.GET else exports

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
    documents: Any = staticmethod(listing.documented)

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


class RegistryAdmin(ListAdmin):
    """An admin that writes through services alone.

    A subclass implements what its form and its `verbs` call, and a system check finds what it lacks:

    - `add(request, form)` makes what the form asks for, and returns the row and its secret, empty for what has none;
    - `change(request, row, changes)` changes fields of `row`; without it rows stay as they were made;
    - `rotate(request, row, grace)` gives `row` a new secret and returns it;
    - `set_locked(request, row, is_locked, reason)` locks or unlocks `row`, `end_tokens(request, row, reason)` ends all
      its tokens.

    Any of them may raise a `RegistryError`, which the operator sees as a message.
    """

    add: Callable[[HttpRequest, Any], Minted]
    change: Callable[[HttpRequest, Any, dict[str, Any]], None]
    add_words = ""
    verbs: ClassVar[Sequence[Verb]] = ()
    change_form_outer_before_template = "admin/registry/verbs.html"
    change_form_outer_after_template = "admin/registry/timeline.html"

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Django's checks of an admin, and `tokens.E006`: there is no method for the form or for a verb."""
        callers = {"add": "its form", **{verb.method: f"the verb {verb.name}" for verb in self.verbs}}
        return [
            *super().check(**kwargs),
            *(
                Error(f"It has no method {name}, which {caller} calls.", obj=type(self), id="tokens.E006")
                for name, caller in callers.items()
                if not hasattr(self, name)
            ),
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever has Django's permission, where rows can be changed at all."""
        return hasattr(self, "change") and super().has_change_permission(request, obj)

    def revoke(self, request: HttpRequest, row: Recorded, reason: str) -> None:
        """End `row` for good."""
        kinds.get(row.kind).revoke(row, operator(request), reason)

    def consequences(self, verb: Verb, rows: list[Any]) -> list[str]:
        """What `verb` will stop or change, counted, one sentence each."""
        return []

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        """Whether the operator has the permission of `verb`."""
        codename = get_permission_codename(verb.permission, self.opts)
        return request.user.has_perm(f"{self.opts.app_label}.{codename}")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Call the service."""
        if change:
            self.change(request, obj, {name: form.cleaned_data[name] for name in form.changed_data})
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
        """The form, with the verbs above it and the timeline below; what a service refuses is a message."""
        context = self._context_of(request, object_id) if object_id else adding(self.add_words)
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        try:
            return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})
        except RegistryError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(request.get_full_path())

    def _context_of(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        row = self.get_object(request, object_id)
        if row is None:
            return {}
        offered = [verb for verb in self.verbs if self.may(request, verb) and verb.applies(row)]
        context: dict[str, Any] = {
            "title": str(row),
            "subtitle": None,
            "offered": offered,
            "verbs_url": self._url("verb", "VERB"),
        }
        if request.user.has_perm("tokens.view_auditevent"):
            context["timeline"] = AuditEvent.objects.filter(kind=row.kind, object_id=str(row.pk))[:20]
            context["audit_url"] = log_about(row.kind, row.pk)
        return context

    def get_urls(self) -> list[URLPattern]:
        """The pages of the model, and one for each verb."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_verb"
        verb = path("verbs/<slug:name>/", self.admin_site.admin_view(self.verb_view), name=name)
        return [verb, *super().get_urls()]

    def _url(self, page: str, *arguments: Any) -> str:
        return page_of(self.model, page, *arguments)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """What happened to a row is in the audit log."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        return redirect(log_about(row.kind, row.pk))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The verbs that the operator may use, and the exports."""
        if "_popup" in request.GET:
            return {}
        offered = {
            f"{verb.name}_selected": (self.verb_action(verb), f"{verb.name}_selected", verb.label)
            for verb in self.verbs
            if self.may(request, verb)
        }
        return offered | super().get_actions(request)

    def verb_action(self, verb: Verb) -> Any:
        """The action that asks about a selection, as Django calls it."""

        def action(_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            rows = list(queryset[: verb.max_selected + 1])
            if len(rows) > verb.max_selected:
                messages.error(request, f"{verb.label}: at most {verb.max_selected} at once. Narrow the list down.")
                return None
            return self._ask(request, verb, rows, verb.form())

        return action

    def verb_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """The page that asks before a verb is done, and does it when it comes back."""
        verb = next((verb for verb in self.verbs if verb.name == name), None)
        if verb is None:
            raise Http404
        if not self.may(request, verb):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        ids = [raw for raw in given.getlist("id") if raw.isascii() and raw.isdecimal() and len(raw) < 19]
        rows = list(self.get_queryset(request).filter(pk__in=ids[: verb.max_selected]))
        if not rows:
            messages.error(request, "Nothing was selected.")
            return HttpResponseRedirect(self._url("changelist"))
        if request.method != "POST":
            return self._ask(request, verb, rows, verb.form())
        form = verb.form(request.POST)
        return (
            self._do(request, verb, rows, form.cleaned_data)
            if form.is_valid()
            else self._ask(request, verb, rows, form)
        )

    def _ask(self, request: HttpRequest, verb: Verb, rows: list[Any], form: Any) -> HttpResponse:
        some = [row for row in rows if verb.applies(row)]
        what = str(rows[0]) if len(rows) == 1 else f"{len(rows)} {self.opts.verbose_name_plural}"
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb.label}: {what}",
            "opts": self.opts,
            "verb": verb,
            "rows": rows,
            "listed": rows[:20],
            "unlisted": max(len(rows) - 20, 0),
            "skipped": len(rows) - len(some),
            "consequences": self.consequences(verb, some),
            "form": form,
            "verb_url": self._url("verb", verb.name),
            "back_url": self._url("change", rows[0].pk) if len(rows) == 1 else self._url("changelist"),
        }
        return TemplateResponse(request, "admin/registry/ask.html", context)

    def _do(self, request: HttpRequest, verb: Verb, rows: list[Any], data: dict[str, Any]) -> HttpResponse:
        count, minted = 0, []
        for row in rows:
            if not verb.applies(row):
                continue
            try:
                secret = verb.do(self, request, row, data)
            except RegistryError as exc:
                messages.error(request, f"{row}: {exc}")
                continue
            count += 1
            if secret:
                minted.append((row, secret))
        if minted:
            return self._shown_once(request, minted, done=verb.done.lower())
        what = str(rows[0]) if count == 1 and len(rows) == 1 else str(count)
        (messages.success if count else messages.warning)(request, f"{verb.done} {what}.")
        return HttpResponseRedirect(self._url("change", rows[0].pk) if len(rows) == 1 else self._url("changelist"))

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The page that shows the secret, once; it is stored nowhere, and gone when the page is left or reloaded."""
        secret = request.META.pop("registry.secret", "")
        if secret:
            return self._shown_once(request, [(obj, secret)], done="minted")
        messages.success(request, f"Added {obj}.")
        return HttpResponseRedirect(self._url("change", obj.pk))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Back to the row."""
        messages.success(request, f"Saved {obj}.")
        return HttpResponseRedirect(self._url("change", obj.pk))

    def _shown_once(self, request: HttpRequest, minted: list[Minted], *, done: str) -> HttpResponse:
        shown = [
            {
                "object": row,
                "secret": secret,
                "example": self.example(request, secret) if len(minted) == 1 else "",
                "url": self._url("change", row.pk),
            }
            for row, secret in minted
        ]
        words = self.opts.verbose_name if len(minted) == 1 else self.opts.verbose_name_plural
        context = {
            **self.admin_site.each_context(request),
            "title": f"{capfirst(words)} {done}",
            "opts": self.opts,
            "shown": shown,
            "leave_url": shown[0]["url"] if len(shown) == 1 else self._url("changelist"),
            **shown[0],
        }
        response = TemplateResponse(request, "admin/shown_once.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def example(self, request: HttpRequest, secret: str) -> str:
        """A curl line that uses the secret."""
        return ""


def adding(words: str) -> dict[str, Any]:
    """The context of the form for a new row: `words` is its title, and begins with the verb that the button says."""
    return {"title": words, "subtitle": None, "submit_words": words.partition(" ")[0]}
