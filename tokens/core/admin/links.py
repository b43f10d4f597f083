"""Where the pages of the admin are."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tokens.core.models import AuditEvent


def page_of(model: Model | type[Model], name: str, *arguments: Any) -> str:
    """The page `name` (`changelist`, `change` with an id) of a model. Raises `NoReverseMatch`."""
    return reverse(admin_urlname(model._meta, name), args=arguments)  # type: ignore[arg-type]  # the stubs ask for a SafeString


def page_about(kind: str, object_id: str, *, site: AdminSite) -> str:
    """The page of the row that an audit event or a notice is about; empty where there is none."""
    model = next((model for model in site._registry if getattr(model, "kind", None) == kind), None)  # noqa: SLF001 — has no other
    if model is None:
        return ""
    try:
        return page_of(model, "change", object_id)
    except NoReverseMatch:
        return ""


def log_about(kind: str, object_id: Any) -> str:
    """The audit log as far as it is about one object."""
    return f"{page_of(AuditEvent, 'changelist')}?about={kind}:{object_id}"


def log_by(kind: str, actor_id: str) -> str:
    """The audit log as far as one actor wrote it."""
    return f"{log_about(kind, actor_id)}@actor"


def linked(url: str, words: str) -> SafeString | str:
    """`words` as a link, if there is somewhere to go."""
    if not url:
        return words
    return format_html('<a href="{}" class="r-link">{}</a>', url, words)
