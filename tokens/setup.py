"""The first-run steps of this app: Django's and the tokens' secret, the first operator, the first named token."""

import secrets

from django.contrib.auth import get_user_model

from tokens import services
from tokens.core import setup
from tokens.core.audit import SYSTEM
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
        password = secrets.token_urlsafe(12)
        first = users.create_superuser(FIRST_OPERATOR, password=password)
        OperatorPolicy.objects.create(user=first, first_password=digest(first.password))
        made.append(Made(f"Admin {run.base_url}/admin/ — operator {FIRST_OPERATOR}, password", password))
    if not NamedToken.objects.exists():
        minted = services.mint(FIRST_TOKEN, actor=SYSTEM)
        example = f"curl {run.base_url}/_/token -H 'Authorization: Bearer {minted.value}'"
        made.append(Made(f"Named token {FIRST_TOKEN!r}", minted.value, example))
    return made


setup.register(
    setup.Setup(
        secrets={
            "SECRET_KEY": lambda: secrets.token_urlsafe(50),
            "TOKENS_SECRET_KEY": lambda: secrets.token_urlsafe(32),
        },
        make_rows=make_rows,
    )
)
