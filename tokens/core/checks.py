"""System checks of what all apps share, one function and one id each."""

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from tokens.core.operations import traces


def weak_secret(name: str, *, id: str) -> list[CheckMessage]:
    """A warning when the HMAC secret in the setting `name` is shorter than RFC 7518, section 3.2, asks for."""
    if 0 < len(getattr(settings, name).encode()) < 32:
        return [
            Warning(
                f"{name} is shorter than 32 bytes: whoever has one token can try to guess it.",
                hint="It goes on working. Move to a longer one by putting the old one into "
                f"{name}_FALLBACKS and a fresh one into {name}.",
                id=id,
            )
        ]
    return []


@register(Tags.security)
def check_secret_key(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`tokens.E001`: there is no SECRET_KEY."""
    with suppress(ImproperlyConfigured):
        if settings.SECRET_KEY:
            return []
    return [Error("SECRET_KEY is not set.", hint="Run: manage.py init", id="tokens.E001")]


@register(Tags.security)
def check_tokens_secret(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`tokens.E002`: there is no TOKENS_SECRET_KEY."""
    if settings.TOKENS_SECRET_KEY:
        return []
    return [Error("TOKENS_SECRET_KEY is not set.", hint="Run: manage.py init", id="tokens.E002")]


@register(Tags.security)
def check_tokens_secret_strength(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`tokens.W003`: TOKENS_SECRET_KEY is short."""
    return weak_secret("TOKENS_SECRET_KEY", id="tokens.W003")


@register(Tags.security)
def check_trusted_proxies(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`tokens.W004`: all the world is a trusted proxy."""
    if any(network.endswith("/0") for network in settings.TRUSTED_PROXIES):
        return [
            Warning(
                "TRUSTED_PROXIES trusts every address: any client can claim any address.",
                hint="Name the addresses of your proxies.",
                id="tokens.W004",
            )
        ]
    return []


@register(Tags.security)
def check_webhook(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`tokens.W007`: what the webhook gets is signed with nothing."""
    if settings.NOTIFY_WEBHOOK_URL and not settings.NOTIFY_WEBHOOK_SECRET:
        words = "NOTIFY_WEBHOOK_SECRET is not set: anybody can sign what NOTIFY_WEBHOOK_URL takes for a notice."
        return [Warning(words, hint="Give both ends the same random secret.", id="tokens.W007")]
    return []


@register()
def check_traces(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`tokens.W005`: the environment asks for traces, and none are sent."""
    if traces.is_wanted() and (words := traces.obstacle()):
        hint = "Run: pip install --require-hashes -r requirements-otel.txt; or set OTEL_TRACES_EXPORTER=none."
        return [Warning(f"No traces are sent. {words}", hint=hint, id="tokens.W005")]
    return []
