"""The sidebar of the admin: what there is, in the operators' words, for whoever may open it."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

from tokens.core import kinds
from tokens.core.admin.links import page_of
from tokens.core.admin.registry import ListAdmin, RegistryAdmin


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of the sidebar: credentials in the order of their registration, whom they are for, and the rest."""
    models = list(kinds.models().values())
    registry = admin.site._registry  # noqa: SLF001 — has no other
    rest = [model for model, page in registry.items() if isinstance(page, RegistryAdmin) and model not in models]
    administration = [
        model for model, page in registry.items() if not isinstance(page, RegistryAdmin) and is_listed(page)
    ]
    overview = _line(request, "Overview", "dashboard", reverse("admin:index"))
    groups = (("Credentials", models), ("Principals", rest), ("Administration", administration))
    return [
        {"items": [overview]},
        *(
            {"title": title, "separator": True, "items": lines}
            for title, listed in groups
            if (lines := [_page(request, model) for model in listed if registry[model].has_view_permission(request)])
        ),
    ]


def is_listed(page: Any) -> bool:
    """Whether a page of the admin that is about no credential and no principal has a line of its own."""
    return isinstance(page, ListAdmin) or getattr(page, "is_listed", False)


def _page(request: HttpRequest, model: type[Model]) -> dict[str, Any]:
    page: Any = admin.site.get_model_admin(model)
    url = page_of(model, "changelist")
    title = getattr(page, "list_title", "") or str(model._meta.verbose_name_plural)
    line = _line(request, capfirst(title), getattr(page, "icon", "key"), url)
    return line | {"badge": page.badge(request) if isinstance(page, ListAdmin) else 0}


def _line(request: HttpRequest, title: str, icon: str, url: str) -> dict[str, Any]:
    is_here = request.path == url if url == reverse("admin:index") else request.path.startswith(url)
    return {"title": title, "icon": icon, "link": url, "active": is_here}
