"""What is told of each request: one line of log and one count. Never a credential, a body, a header or a query."""

import re
from functools import cache

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from tokens.core.operations import logs, metrics

# What is asked for every few seconds by machines, and tells nothing while all is well.
QUIET = {"/healthz", "/readyz", "/metrics"}
# A path is logged as it was asked for, but for pieces long enough to be a credential that somebody put there.
LONG = re.compile(r"[^/]{20,}")
MAX_PATH = 200
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def note_actor(request: HttpRequest | Request, kind: str, id: str) -> None:
    """Remember, for the line of `request`, who asks."""
    request.META["registry.actor"] = f"{kind}:{id}" if id else kind


def told(request: HttpRequest, response: HttpResponse, *, request_id: str, address: str | None, seconds: float) -> None:
    """Log and count the answer to `request`."""
    route, method, status = route_of(request), method_of(request), response.status_code
    metrics.answered(route, method, status, seconds)
    if route in QUIET and status < 400:
        return
    logs.requests.info(
        "request",
        request_id=request_id,
        method=method,
        path=shown(request.path),
        route=route,
        status=status,
        ms=round(seconds * 1000, 2),
        actor=request.META.get("registry.actor") or _operator(request),
        address=address,
    )


def route_of(request: HttpRequest) -> str:
    """The route of `request` as people know it, one of a finite list."""
    match = request.resolver_match
    return "(none)" if match is None else _label(match.route)


def method_of(request: HttpRequest) -> str:
    """The method of `request`, one of a finite list."""
    return str(request.method) if request.method in METHODS else "(other)"


def shown(path: str) -> str:
    """`path` as the log may have it: pieces of twenty characters or more left out, and not too long."""
    return path if len(path) < 20 else LONG.sub("…", path)[:MAX_PATH]


@cache
def _label(route: str) -> str:
    """A route as people know it: all pages of the admin are one, and so is what no route leads to."""
    return "/admin/" if route.startswith("admin/") else "(none)" if route.startswith("^") else f"/{route}"


def _operator(request: HttpRequest) -> str | None:
    """The operator who is signed in, if the request looked for one; no look-up is made for the log's sake."""
    user = getattr(request, "_cached_user", None)
    return f"operator:{user.pk}" if user is not None and user.is_authenticated else None
