"""The app of named tokens, and of what all credentials share."""

from django.apps import AppConfig
from django.conf import settings


class TokensConfig(AppConfig):
    """Registers the kind, the checks and the first-run steps of this app."""

    name = "tokens"
    verbose_name = "Named tokens"
    landing = "tokens/landing.html"

    def ready(self) -> None:
        """Register what this app brings."""
        from tokens import setup  # noqa: F401, PLC0415 — models are not loaded earlier
        from tokens.core import checks, kinds  # noqa: F401, PLC0415 — models are not loaded earlier
        from tokens.core.operations import health, logs  # noqa: PLC0415 — models are not loaded earlier
        from tokens.services import KIND, ring  # noqa: PLC0415 — models are not loaded earlier

        logs.configure(settings.LOG_FORMAT)
        kinds.register(KIND)
        health.register("named_token_key", health.loads(ring))
