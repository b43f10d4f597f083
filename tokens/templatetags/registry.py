"""Words for moments, actions and numbers."""

from datetime import datetime

from django import template
from django.utils import timezone

from tokens.core.admin import words

register = template.Library()


@register.filter
def relative(value: datetime | None) -> str:
    """How far away a moment is: "in 3 days"."""
    return words.relative(value, now=timezone.now()) if value else "never"


@register.filter
def verb_words(action: str) -> str:
    """An action in words."""
    return words.verb_words(action)


@register.filter
def grouped(number: int) -> str:
    """A number that can be read: 1,234,567."""
    return f"{number:,}"
