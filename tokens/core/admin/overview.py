"""What the first page of the admin shows, and the search for a leaked secret."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core import checks
from django.core.paginator import InvalidPage
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from tokens.core import kinds
from tokens.core.admin.links import page_of
from tokens.core.models import AuditEvent, Credential, Recorded, RotatableCredential
from tokens.core.operations import counters
from tokens.core.operations.counters import DAYS

COLOURS = ("#7e22ce", "#0e7490", "#b45309", "#15803d", "#be185d", "#4d7c0f")
UNKNOWN = "No credential here matches that."
_warnings: list[Callable[[HttpRequest], str]] = []


def register_warning(warning: Callable[[HttpRequest], str]) -> Callable[[HttpRequest], str]:
    """Make a warning known: a function that returns a sentence, empty when all is well."""
    _warnings.append(warning)
    return warning


def context_of(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The context of the overview: what the operator may see of it."""
    now = timezone.now()
    models = [model for model in kinds.models().values() if may_view(request, model)]
    days = [now.date() - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    minted = counters.minted(models, days=DAYS, now=now)
    tallies = counters.tallied(days=DAYS, now=now)
    context |= {
        "title": "Overview",
        "cards": [card(model, now=now) for model in models],
        "chart": chart(days, {str(kinds.get(name).label): numbers for name, numbers in minted.items()}),
        "minted_total": sum(map(sum, minted.values())),
        "tallies": [
            {"label": tally.label, "today": tallies[tally.name][-1], "month": sum(tallies[tally.name])}
            for tally in counters.all_tallies()
        ],
        "expiring": expiring(models, now=now),
        "warnings": list(warnings(request)) if request.user.is_superuser or sees_audit(request) else [],
        "may_find": bool(models),
    }
    if sees_audit(request):
        context["events"] = AuditEvent.objects.all()[:8]
    return context


def sees_audit(request: HttpRequest) -> bool:
    """Whether the operator may read the audit log."""
    return request.user.has_perm("tokens.view_auditevent")


def may_view(request: HttpRequest, model: type[Recorded], row: Recorded | None = None) -> bool:
    """Whether the operator may look at this kind, or at one row of it."""
    return admin.site.is_registered(model) and admin.site.get_model_admin(model).has_view_permission(request, row)


def card(model: type[Credential], *, now: Any) -> dict[str, Any]:
    """What there is of one kind, each number with the list that it counts."""
    url = page_of(model, "changelist")
    numbers = counters.stock(model, now=now)
    return {
        "label": str(model._meta.verbose_name_plural),
        "url": url,
        "usable": numbers["usable"],
        "numbers": [
            ("expiring in 7 days", numbers["expiring"], f"{url}?state=active&expires=week"),
            ("expired", numbers["expired"], f"{url}?state=expired"),
            ("revoked", numbers["revoked"], f"{url}?state=revoked"),
        ],
    }


def chart(days: list[date], series: dict[str, list[int]]) -> dict[str, Any]:
    """Stacked bars, one a day: shares of a height of 100."""
    highest = max(sum(numbers[index] for numbers in series.values()) for index in range(len(days))) or 1
    bars = []
    for index, day in enumerate(days):
        top, parts = 100.0, []
        for (label, numbers), colour in zip(series.items(), COLOURS * len(series), strict=False):
            height = 100 * numbers[index] / highest
            top -= height
            parts.append({"y": f"{top:.2f}", "height": f"{height:.2f}", "colour": colour, "label": label})
        words = ", ".join(f"{numbers[index]} {label}" for label, numbers in series.items() if numbers[index])
        bars.append({"x": index * 10, "parts": parts, "words": f"{day:%Y-%m-%d}: {words or 'nothing'}"})
    legend = [
        {"label": label, "colour": colour, "total": sum(numbers)}
        for (label, numbers), colour in zip(series.items(), COLOURS * len(series), strict=False)
    ]
    return {"bars": bars, "legend": legend, "highest": highest, "first": days[0], "last": days[-1], "width": 300}


def expiring(models: list[type[Credential]], *, now: Any) -> list[dict[str, Any]]:
    """What ends next of those kinds whose end somebody can put off."""
    rows: list[Any] = []
    for model in models:
        if issubclass(model, RotatableCredential):
            page: Any = admin.site.get_model_admin(model)
            # By the index on `expires_at` alone; few of the next hundred were ended before.
            found = model._default_manager.filter(expires_at__gt=now).order_by("expires_at")
            ids = [
                pk
                for pk, is_active, revoked_at in found.values_list("pk", "is_active", "revoked_at")[:100]
                if is_active and revoked_at is None
            ]
            rows += model._default_manager.filter(pk__in=ids[:6]).select_related(*(page.list_select_related or ()))
    rows.sort(key=lambda row: row.expires_at)
    return [
        {"row": row, "kind": kinds.get(row.kind).label, "url": page_of(row, "change", row.pk), "owner": row.owner_label}
        for row in rows[:6]
    ]


def warnings(request: HttpRequest) -> Iterator[str]:
    """What is amiss, in plain words."""
    for problem in checks.run_checks(tags=[checks.Tags.security]):
        yield f"{problem.msg} {problem.hint or ''}".strip()
    yield from filter(None, (warning(request) for warning in _warnings))


@require_POST
@sensitive_post_parameters("secret")
def find(request: HttpRequest) -> HttpResponse:
    """The way to the row behind a secret or token that somebody found, which goes into no URL, page or log."""
    raw = kinds.pasted(request.POST.get("secret", ""))
    found = kinds.find(raw) if raw else None
    if found is None:
        setting = kinds.setting_of(raw)
        words = f"That is {setting} in the settings of this server. Change it there." if setting else UNKNOWN
        messages.warning(request, words)
        return HttpResponseRedirect(reverse("admin:index"))
    kind, row = found
    if not may_view(request, type(row), row):
        messages.warning(request, "It was found, but you may not look at it.")
        return HttpResponseRedirect(reverse("admin:index"))
    messages.info(request, f"What you pasted belongs here ({kind.label}).")
    return HttpResponseRedirect(page_of(row, "change", row.pk))


def search(request: HttpRequest) -> HttpResponse:
    """The framework's search for pages of the admin, which has none of a number that makes no sense."""
    try:
        found: HttpResponse = admin.site.search(request)  # type: ignore[attr-defined]  # the theme's site has it
    except InvalidPage:
        raise Http404 from None
    return found


urlpatterns = [
    path("find/", admin.site.admin_view(find), name="find_secret"),
    path("search/", admin.site.admin_view(search)),
]
