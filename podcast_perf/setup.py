"""The first-run steps of this app: the secret that signs, and a public key to fetch tokens with."""

import secrets
from datetime import datetime

from django.conf import settings
from django.db.models import Max

from podcast_perf.models import PerformanceToken
from tokens.core import rotation, setup
from tokens.core.setup import Made, Run


def make_rows(run: Run) -> list[Made]:
    """No rows, but the key that this run put into `.env`, and how to fetch a token with it."""
    key = run.fresh.get("PERFORMANCE_PUBLIC_KEY")
    return [Made("Podcast X-PUB-KEY", key, f"curl {run.base_url}/token -H 'X-PUB-KEY: {key}'")] if key else []


def old_tokens(rotated_at: datetime) -> tuple[datetime | None, str]:
    """Until when tokens of the old secret are about."""
    last = PerformanceToken.objects.filter(created_at__lt=rotated_at).aggregate(last=Max("expires_at"))["last"]
    return last or rotated_at, "Until then tokens of the old secret are about."


rotation.register(
    rotation.SecretSigner(
        "performance", "PERFORMANCE_SECRET_KEY", env_file=lambda: settings.ENV_FILE, old_until=old_tokens
    )
)
setup.register(
    setup.Setup(
        secrets={
            "PERFORMANCE_SECRET_KEY": lambda: secrets.token_urlsafe(32),
            "PERFORMANCE_PUBLIC_KEY": lambda: secrets.token_urlsafe(20),
        },
        make_rows=make_rows,
    )
)
