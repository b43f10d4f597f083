"""The app of badges."""

from django.apps import AppConfig


class FourthConfig(AppConfig):
    """Registers the kind and the first-run steps of this app."""

    name = "tests.contracts.fourth"
    label = "fourth"
    verbose_name = "Badges"

    def ready(self) -> None:
        from tests.contracts.fourth import setup  # noqa: F401, PLC0415 — models are not loaded earlier
        from tests.contracts.fourth.services import KIND  # noqa: PLC0415 — models are not loaded earlier
        from tokens.core import kinds  # noqa: PLC0415 — models are not loaded earlier

        kinds.register(KIND)
