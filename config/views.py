"""The landing page, and the answers where no app has a route. (Below their own paths the APIs answer themselves.)"""

import sys

from django.apps import apps
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from config.csp import POLICY
from tokens.core.addresses import is_within
from tokens.core.errors import OUTAGES
from tokens.core.http import AWAY, accepted_types, client_address
from tokens.core.operations import exposition, health


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """`GET /`: what this server is and where to go, with the section of every app that has one."""
    sections = [app.landing for app in apps.get_app_configs() if hasattr(app, "landing")]
    return render(request, "landing.html", {"sections": sections})


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """`GET /healthz`: this process answers, whatever it could do besides. Nothing else is asked."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """`GET /readyz`: 200 when requests would be served, else 503; either way what each probe found."""
    report = health.report()
    response = JsonResponse({"ready": report.is_ready, "failed": report.failed, "checks": report.found})
    response["Cache-Control"] = "no-store"
    if not report.is_ready:
        response.status_code = 503
        response["Retry-After"] = AWAY.headers["Retry-After"]
    return response


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """`GET /metrics`, for the addresses in `METRICS_ALLOWED_NETWORKS`; to everybody else there is no such page."""
    if not may_see_metrics(request):
        raise Http404
    return HttpResponse(exposition.text(), content_type=CONTENT_TYPE_LATEST)


def may_see_metrics(request: HttpRequest) -> bool:
    """Whether the client's address is allowed. Behind a proxy that nobody named, no address is known."""
    address = client_address(request)
    is_forwarded = "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META
    if address is None or (is_forwarded and address == request.META.get("REMOTE_ADDR")):
        return False
    return is_within(address, settings.METRICS_ALLOWED_NETWORKS)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400. Unlike Django's own answer it looks for no CSRF token in a body that may be as bad."""
    return JsonResponse({"error": "The request is not acceptable."}, status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: a page for people, JSON for programs. It comes through the short chain too, which adds no policy."""
    if not any(accepted.match("text/html") for accepted in accepted_types(request)):
        return JsonResponse({"error": "There is nothing here."}, status=404)
    response = render(request, "404.html", status=404)
    response["Content-Security-Policy"] = POLICY
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """500, without a word about what happened; the log has it. 503 while the database is away."""
    if isinstance(sys.exception(), OUTAGES):
        return JsonResponse({"error": AWAY.message}, status=AWAY.status, headers=AWAY.headers)
    return JsonResponse({"error": "Internal server error"}, status=500)
