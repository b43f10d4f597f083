"""The app of EDI and PASTA tokens."""

from django.apps import AppConfig


class EdiAuthConfig(AppConfig):
    """Registers the kinds, the checks and the first-run steps of this app."""

    name = "edi_auth"
    verbose_name = "EDI authentication"
    landing = "edi_auth/landing.html"

    def ready(self) -> None:
        """Register what this app brings."""
        from edi_auth import checks, pasta, revocations, setup  # noqa: F401, PLC0415 — models are not loaded earlier
        from edi_auth.services import KINDS, ring  # noqa: PLC0415 — models are not loaded earlier
        from tokens.core import kinds  # noqa: PLC0415 — models are not loaded earlier
        from tokens.core.operations import health  # noqa: PLC0415 — models are not loaded earlier

        for kind in KINDS:
            kinds.register(kind)
        health.register("edi_key", health.loads(ring))
        health.register("pasta_key", health.loads(pasta.keys))
        health.register("revocations", revocations.probe, needs_server=True)
