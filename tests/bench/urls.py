"""The routes of the registry, and an empty view on its base class: what a request costs before it does anything."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from config.urls import handler404, handler500
from config.urls import urlpatterns as registry_urls
from edi_auth.dialect import exception_handler
from tokens.core.http import API

__all__ = ["handler404", "handler500", "urlpatterns"]


class EmptyView(API):
    """Answers nothing much."""

    handler = exception_handler

    def get(self, request: Request) -> Response:
        return Response({"ok": True})


urlpatterns = [path("bench/empty", EmptyView.as_view()), *registry_urls]
