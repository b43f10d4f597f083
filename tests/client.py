"""A test client that reaches the APIs as the server does: through their short chain of middleware."""

from typing import Any

import orjson
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler

from config.wsgi import ShortChain

FORM = "application/x-www-form-urlencoded"


class APIClientHandler(ShortChain, ClientHandler):
    """Django's test handler with the middleware of the APIs."""


class APIClient(Client):
    """Sends JSON the way `curl -d` does: under a Content-Type that says it is a form."""

    def __init__(self, **defaults: Any) -> None:
        super().__init__(**defaults)
        self.handler = APIClientHandler(enforce_csrf_checks=True)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        bearer: str | None = None,
        content_type: str = FORM,
        headers: dict[str, str] | None = None,
    ) -> HttpResponse:
        """One request. `body` is sent as it is when it is bytes, as JSON otherwise, and not at all when it is None."""
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        headers = dict(headers or {})
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        return self.generic(method, path, data, content_type=content_type, headers=headers)
