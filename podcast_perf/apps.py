"""The app of performance tokens."""

from django.apps import AppConfig


class PodcastPerfConfig(AppConfig):
    """Registers the kinds, the checks and the first-run steps of this app."""

    name = "podcast_perf"
    verbose_name = "Podcast performance"
    landing = "podcast_perf/landing.html"

    def ready(self) -> None:
        """Register what this app brings."""
        from podcast_perf import checks, setup  # noqa: F401, PLC0415 — models are not loaded earlier
        from podcast_perf.services import KINDS, ring  # noqa: PLC0415 — models are not loaded earlier
        from tokens.core import kinds  # noqa: PLC0415 — models are not loaded earlier
        from tokens.core.operations import health  # noqa: PLC0415 — models are not loaded earlier

        for kind in KINDS:
            kinds.register(kind)
        health.register("performance_key", health.loads(ring))
