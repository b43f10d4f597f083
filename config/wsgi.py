"""The WSGI application: a short chain of middleware for the APIs, the full one for the pages that people open."""

import codecs
import io
import os
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import Any

import django
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.urls import ResolverMatch, get_resolver

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

# What a browser says of the body of a form, without a charset.
FORM = re.compile(
    r"application/x-www-form-urlencoded|multipart/form-data; ?boundary=[A-Za-z0-9'()+_,./:=?-]{1,70}", re.IGNORECASE
)

_settings_lock = threading.Lock()


def is_site_path(path: str) -> bool:
    """Whether `path` belongs to the pages that people open (admin, API description, landing page)."""
    return path == "/" or path.startswith(settings.SITE_PATHS)


class ShortChain(BaseHandler):
    """A Django handler with `API_MIDDLEWARE` in place of `MIDDLEWARE`: no session, CSRF, message or locale work.

    It forgets the Content-Type, because a body is JSON whatever that says and Django would act on it.
    """

    def __call__(self, environ: Environ, *args: Any) -> Any:
        """One request (PEP 3333)."""
        return super().__call__({**environ, "CONTENT_TYPE": ""}, *args)  # type: ignore[misc]  # what it is mixed into

    def load_middleware(self, is_async: bool = False) -> None:
        """Build the chain."""
        with _settings_lock:
            full = settings.MIDDLEWARE
            settings.MIDDLEWARE = settings.API_MIDDLEWARE
            try:
                super().load_middleware(is_async=is_async)
            finally:
                settings.MIDDLEWARE = full

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """The view of a path; for a path that was asked for lately without going through the routes again."""
        request.resolver_match = _match(settings.ROOT_URLCONF, request.path_info)
        return request.resolver_match


@lru_cache(maxsize=64)
def _match(urlconf: str, path: str) -> ResolverMatch:
    """The view of `path`. Raises `Resolver404`, of which nothing is remembered."""
    return get_resolver(urlconf).resolve(path)


class APIHandler(ShortChain, WSGIHandler):
    """What serves the APIs."""


class Application:
    """Sends each request through the chain that its path needs."""

    def __init__(self) -> None:
        self.api, self.site = APIHandler(), WSGIHandler()
        load()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """One request (PEP 3333)."""
        if "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated"):
            # Django knows no other end of a body than its length.
            read_body(environ)
        handler: WSGIHandler = self.api
        if is_site_path(environ.get("PATH_INFO", "")):
            handler = self.site
            # No page wants another, or a charset. Django fails at some before there is anything that would answer.
            form = FORM.match(environ.get("CONTENT_TYPE", ""))
            environ["CONTENT_TYPE"] = form[0] if form else ""
        response = handler(environ, start_response)
        if environ["REQUEST_METHOD"] == "HEAD":
            response.close()
            return []
        return response


def load() -> None:
    """Import the views and parse the keys, before workers are forked and not at the first request of each of them.

    That would take time, and fail while there are no descriptors left. A key that is missing is missed by the requests
    that need it.
    """
    import_module(settings.ROOT_URLCONF)
    codecs.lookup("unicode_escape")  # Django logs refusals in it
    from edi_auth import pasta, services  # noqa: PLC0415 — models are not loaded earlier
    from tokens.core.errors import NotConfigured  # noqa: PLC0415 — likewise

    for keys in (services.ring, pasta.keys):
        with suppress(NotConfigured):
            keys()


class Undelivered(io.RawIOBase):
    """A body that did not arrive: whoever reads it has the answer for that."""

    def read(self, size: int = -1) -> bytes:
        """Fail as the connection did. Raises `OSError`."""
        raise OSError("The body did not arrive.")


def read_body(environ: Environ) -> None:
    """Take the body of a request from the server, and say how long it is.

    Reads one byte more than is accepted, so that too large a body is refused and never held in memory.
    """
    try:
        body = environ["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
    except OSError:
        environ |= {"wsgi.input": Undelivered(), "CONTENT_LENGTH": "1"}
    else:
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)
application = Application()
