"""System checks of this app, one function and one id each."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

from tokens.core.checks import weak_secret


@register(Tags.security)
def check_secret(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`podcast_perf.W001`: there is no PERFORMANCE_SECRET_KEY."""
    if settings.PERFORMANCE_SECRET_KEY:
        return []
    return [
        Warning(
            "PERFORMANCE_SECRET_KEY is not set: GET /token answers 500.",
            hint="Run: manage.py init",
            id="podcast_perf.W001",
        )
    ]


@register(Tags.security)
def check_secret_strength(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`podcast_perf.W002`: PERFORMANCE_SECRET_KEY is short."""
    return weak_secret("PERFORMANCE_SECRET_KEY", id="podcast_perf.W002")
