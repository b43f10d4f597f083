"""The first-run steps of this app."""

import secrets

from tests.contracts.fourth import services
from tests.contracts.fourth.models import Badge
from tokens.core import setup
from tokens.core.audit import SYSTEM
from tokens.core.setup import Made, Run


def make_rows(run: Run) -> list[Made]:
    if Badge.objects.exists():
        return []
    _, value = services.mint("1", actor=SYSTEM)
    return [Made("Badge 1", value, f"curl {run.base_url}/badge -H 'Authorization: Bearer {value}'")]


setup.register(setup.Setup(secrets={"FOURTH_SECRET_KEY": lambda: secrets.token_urlsafe(32)}, make_rows=make_rows))
