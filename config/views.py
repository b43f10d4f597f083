"""The landing page, and the answers where no app has a route. (Below their own paths the APIs answer themselves.)"""

from django.apps import apps
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """`GET /`: what this server is and where to go, with the section of every app that has one."""
    sections = [app.landing for app in apps.get_app_configs() if hasattr(app, "landing")]
    return render(request, "landing.html", {"sections": sections})


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: a page for people, JSON for programs."""
    if request.accepts("text/html"):
        return render(request, "404.html", status=404)
    return JsonResponse({"error": "There is nothing here."}, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, without a word about what happened; the log has it."""
    return JsonResponse({"error": "Internal server error"}, status=500)
