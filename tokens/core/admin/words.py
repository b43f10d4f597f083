"""Moments and actions as people read them."""

from datetime import datetime

from django.template.defaultfilters import pluralize
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

UNITS = ((365 * 86400, "year"), (30 * 86400, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))


def verb_words(action: str) -> str:
    """An action in words: `edi_auth:api_key:mint` is "API key: mint"."""
    _, subject, verb = action.split(":")
    words = subject.replace("_", " ").replace("api ", "API ")
    return f"{capfirst(words)}: {verb.replace('_', ' ')}"


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
