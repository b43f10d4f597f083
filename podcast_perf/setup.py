"""The first-run steps of this app: the secret that signs, and a public key to fetch tokens with."""

import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from podcast_perf import services
from podcast_perf.models import PerformanceToken, Publisher
from tokens.core import demo, rotation, setup
from tokens.core.demo import Progress, life, renumbered, used_life
from tokens.core.models import digest
from tokens.core.setup import Made, Run


def make_rows(run: Run) -> list[Made]:
    """No rows, but the key that this run put into `.env`, and how to fetch a token with it."""
    key = run.fresh.get("PERFORMANCE_PUBLIC_KEY")
    return [Made("Podcast X-PUB-KEY", key, f"curl {run.base_url}/token -H 'X-PUB-KEY: {key}'")] if key else []


def make_demo_data(count: int, progress: Progress) -> None:
    """A publisher for every thousand performance tokens, and those."""
    now = timezone.now()
    names = ("The Daily Bark", "Signal Path", "Night Shift", "Open Field", "Long Wave", "Small Talk", "Deep Dish")
    demo.store(
        count // 1000 + 7,
        lambda number, place: Publisher(
            name=f"{names[number % 7]} {number}",
            key_hash=digest(secrets.token_hex(20)),
            preview=secrets.token_urlsafe(4)[:5],
            **used_life(number, place, now=now),
        ),
        services.Action.ADD_PUBLISHER,
        progress=progress,
    )
    ids = list(Publisher.objects.values_list("pk", flat=True)[:10_000])
    demo.store(
        count,
        lambda number, place: _demo_token(number, place, ids[number % len(ids)], now=now),
        services.Action.MINT,
        fresh=lambda number: {"serial": renumbered("serial", number)},
        label="serial",
        progress=progress,
    )


def _demo_token(number: int, place: float, publisher_id: int, *, now: datetime) -> PerformanceToken:
    made = life(number, place, now=now)
    created_at = made["created_at"]
    return PerformanceToken(
        serial=f"{services.base36(int(created_at.timestamp() * 1000))}-{number}",
        duration="1",
        is_admin=number % 5 > 0,
        publisher_id=publisher_id,
        created_at=created_at,
        expires_at=created_at + timedelta(hours=1),
        revoked_at=made["revoked_at"],
    )


def old_tokens(moment: datetime) -> tuple[datetime | None, str]:
    """Until when tokens that were signed before `moment` are in use."""
    last = PerformanceToken.objects.filter(created_at__lt=moment).aggregate(last=Max("expires_at"))["last"]
    return max(moment, last or moment), "Until then tokens of the old secret are in use."


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
        make_demo_data=make_demo_data,
    )
)
