"""The part of an admin that does verbs: the actions of its list, the pages that ask first, the secret shown once."""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.auth import get_permission_codename
from django.core.checks import CheckMessage, Error
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.text import capfirst
from unfold.admin import ModelAdmin

from tokens.core.admin.links import page_of
from tokens.core.admin.verbs import Verb
from tokens.core.errors import RegistryError
from tokens.core.models import is_id

log = logging.getLogger(__name__)

Minted = tuple[Model, str]


def related(page: ModelAdmin) -> Sequence[str]:
    """What a list fetches along with its rows."""
    return page.list_select_related if isinstance(page.list_select_related, list | tuple) else ()


class VerbAdmin(ModelAdmin):
    """An admin with `verbs`.

    It has the methods that they name, and those of `called` (with who calls them): a system check finds what it lacks.
    Any may raise a `RegistryError`, which the operator sees as a message.
    """

    verbs: ClassVar[Sequence[Verb]] = ()
    called: ClassVar[dict[str, str]] = {}
    change_form_outer_before_template = "admin/registry/verbs.html"

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Django's checks of an admin, and `tokens.E006`: there is no method for the form or for a verb."""
        callers = {**self.called, **{verb.method: f"the verb {verb.name}" for verb in self.verbs}}
        return [
            *super().check(**kwargs),
            *(
                Error(f"It has no method {name}, which {caller} calls.", obj=type(self), id="tokens.E006")
                for name, caller in callers.items()
                if not hasattr(self, name)
            ),
        ]

    def consequences(self, verb: Verb, rows: list[Any]) -> list[str]:
        """What `verb` will stop or change, counted, one sentence each."""
        return []

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        """Whether the operator has the permission of `verb`."""
        codename = get_permission_codename(verb.permission, self.opts)
        return request.user.has_perm(f"{self.opts.app_label}.{codename}")

    def offered(self, request: HttpRequest, row: Any) -> list[Verb]:
        """The verbs that the operator may use, and that do something to `row`."""
        return [verb for verb in self.verbs if self.may(request, verb) and verb.applies(row)]

    def get_urls(self) -> list[URLPattern]:
        """The pages of the model, and one for each verb."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_verb"
        verb = path("verbs/<slug:name>/", self.admin_site.admin_view(self.verb_view), name=name)
        return [verb, *super().get_urls()]

    def url(self, page: str, *arguments: Any) -> str:
        """The page `page` of the model."""
        return page_of(self.model, page, *arguments)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The verbs that the operator may use, before all else."""
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
        ids = list(filter(is_id, given.getlist("id")))[: verb.max_selected]
        rows = list(self.get_queryset(request).filter(pk__in=ids).select_related(*related(self)))
        if not rows:
            messages.error(request, "Nothing was selected.")
            return HttpResponseRedirect(self.url("changelist"))
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
            "verb_url": self.url("verb", verb.name),
            "back_url": self.url("change", rows[0].pk) if len(rows) == 1 else self.url("changelist"),
        }
        return TemplateResponse(request, "admin/registry/ask.html", context)

    def _do(self, request: HttpRequest, verb: Verb, rows: list[Any], data: dict[str, Any]) -> HttpResponse:
        count, left, minted = 0, 0, []
        for row in rows:
            if not verb.applies(row) or verb.is_done(row, data):
                left += 1
                continue
            try:
                secret = verb.do(self, request, row, data)
            except RegistryError as exc:
                messages.error(request, f"{row}: {exc}")
                continue
            except DatabaseError as exc:  # secrets of others may be made already, and are shown nowhere but here
                log.warning("a verb failed (%s)", type(exc).__name__)
                messages.error(request, f"{row}: the database failed. See what became of it, and try again.")
                if not connection.in_atomic_block:
                    connection.close_if_unusable_or_obsolete()
                continue
            count += 1
            if secret:
                minted.append((row, secret))
        if minted:
            return self.shown_once(request, minted, done=verb.done.lower())
        what = str(rows[0]) if count == 1 and len(rows) == 1 else str(count)
        nothing = f" For {left} there was nothing to do." if left else ""
        (messages.success if count else messages.warning)(request, f"{verb.done} {what}.{nothing}")
        return HttpResponseRedirect(self.url("change", rows[0].pk) if len(rows) == 1 else self.url("changelist"))

    def shown_once(self, request: HttpRequest, minted: list[Minted], *, done: str) -> HttpResponse:
        """The page that shows secrets, once; they are stored nowhere, and gone when the page is left or reloaded."""
        shown = [
            {
                "object": row,
                "secret": secret,
                "example": self.example(request, secret) if len(minted) == 1 else "",
                "url": self.url("change", row.pk),
            }
            for row, secret in minted
        ]
        words = self.opts.verbose_name if len(minted) == 1 else self.opts.verbose_name_plural
        context = {
            **self.admin_site.each_context(request),
            "title": f"{capfirst(words)} {done}",
            "opts": self.opts,
            "shown": shown,
            "leave_url": shown[0]["url"] if len(shown) == 1 else self.url("changelist"),
            **shown[0],
        }
        response = TemplateResponse(request, "admin/shown_once.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def example(self, request: HttpRequest, secret: str) -> str:
        """A curl line that uses the secret."""
        return ""
