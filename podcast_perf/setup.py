"""The first-run steps of this app: the secret that signs, and a public key to fetch tokens with."""

import secrets

from tokens.core import setup
from tokens.core.setup import Made, Run


def make_rows(run: Run) -> list[Made]:
    """No rows, but the key that this run put into `.env`, and how to fetch a token with it."""
    key = run.fresh.get("PERFORMANCE_PUBLIC_KEY")
    return [Made("Podcast X-PUB-KEY", key, f"curl {run.base_url}/token -H 'X-PUB-KEY: {key}'")] if key else []


setup.register(
    setup.Setup(
        secrets={
            "PERFORMANCE_SECRET_KEY": lambda: secrets.token_urlsafe(32),
            "PERFORMANCE_PUBLIC_KEY": lambda: secrets.token_urlsafe(20),
        },
        make_rows=make_rows,
    )
)
