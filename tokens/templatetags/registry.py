"""Words for moments and actions."""

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone

from tokens.core.admin import listing

register = template.Library()


@register.filter
def relative(value: datetime | None) -> str:
    """How far away a moment is: "in 3 days"."""
    return listing.relative(value, now=timezone.now()) if value else "never"


@register.filter
def verb_words(action: str) -> str:
    """An action in words."""
    return listing.verb_words(action)


@register.filter
def admin_export_name(opts: Any) -> str:
    """The name of the route that exports the list of a model."""
    return f"admin:{opts.app_label}_{opts.model_name}_export"


@register.filter
def grouped(number: int) -> str:
    """A number that can be read: 1,234,567."""
    return f"{number:,}"
