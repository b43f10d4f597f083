"""The first-run steps of this app: Django's and the tokens' secret, the first operator, the first named token."""

import secrets
from datetime import datetime

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Max, Q, UUIDField
from django.db.models.functions import Cast, Substr
from django.utils import timezone

from tokens import services
from tokens.core import demo, rotation, setup
from tokens.core.audit import SYSTEM
from tokens.core.demo import Progress, RandomHex, renumbered, used_life
from tokens.core.errors import AlreadyExists
from tokens.core.models import digest
from tokens.core.setup import Made, Run
from tokens.models import NamedToken, OperatorPolicy

FIRST_OPERATOR = "admin"
FIRST_TOKEN = "first"  # noqa: S105 — a name


def make_rows(run: Run) -> list[Made]:
    """The first operator where there is no superuser, the first named token where there never was one."""
    made = []
    users = get_user_model().objects
    if not users.filter(is_superuser=True).exists():
        if users.filter(username=FIRST_OPERATOR).exists():
            words = (
                f"There is no superuser, and {FIRST_OPERATOR} is an operator already. Run: manage.py createsuperuser"
            )
            raise AlreadyExists(words)
        password = secrets.token_urlsafe(12)
        first = users.create_superuser(FIRST_OPERATOR, password=password)
        OperatorPolicy.objects.create(user=first, first_password=digest(first.password))
        made.append(Made(f"Admin {run.base_url}/admin/ — operator {FIRST_OPERATOR}, password", password))
    if not NamedToken.objects.exists():
        minted = services.mint(FIRST_TOKEN, actor=SYSTEM)
        example = f"curl {run.base_url}/_/token -H 'Authorization: Bearer {minted.secret}'"
        made.append(Made(f"Named token {FIRST_TOKEN!r}", minted.secret, example))
    return made


def make_demo_data(count: int, progress: Progress) -> None:
    """Named tokens."""
    now = timezone.now()
    words = ("deploy", "backup", "ci", "grafana", "sync", "report", "billing", "search", "import", "export")
    demo.store(
        count,
        lambda number, place: NamedToken(
            name=f"{words[number % 10]}-{number}",
            can_write=number % 3 > 0,
            updated_at=now,
            **used_life(number, place, now=now),
        ),
        services.Action.MINT,
        fresh=lambda number: {
            "name": renumbered("name", number),
            "subject": Cast(Substr(RandomHex(), 1, 32), UUIDField()),
        },
        progress=progress,
    )


def old_values(moment: datetime) -> tuple[datetime | None, str]:
    """Until when values that were signed before `moment` are in use.

    They never expire: until the last token has a new value, and the grace of the one before is over.
    """
    tokens = NamedToken.objects.filter(revoked_at__isnull=True)
    count = tokens.filter(Q(rotated_at__isnull=True, created_at__lt=moment) | Q(rotated_at__lt=moment)).count()
    if not count:
        grace = tokens.aggregate(last=Max("previous_valid_until"))["last"]
        return max(moment, grace or moment), "Until then servers and grace periods may need it."
    tokens_have = "1 named token has a value" if count == 1 else f"{count} named tokens have values"
    return None, f"{tokens_have} of the old secret; it can go when they have been rotated or revoked."


rotation.register(
    rotation.SecretSigner("tokens", "TOKENS_SECRET_KEY", env_file=lambda: settings.ENV_FILE, old_until=old_values)
)
setup.register(
    setup.Setup(
        secrets={
            "SECRET_KEY": lambda: secrets.token_urlsafe(50),
            "TOKENS_SECRET_KEY": lambda: secrets.token_urlsafe(32),
        },
        needed=("SECRET_KEY", "TOKENS_SECRET_KEY"),
        make_rows=make_rows,
        make_demo_data=make_demo_data,
    )
)
