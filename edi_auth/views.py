"""`/auth/v1` (the document "Token and API key API")."""

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSetMixin

from edi_auth import dialect, schema, services
from edi_auth.serializers import KeyRequest, RefreshRequest
from tokens.core.http import API, JSONRenderer, NotFoundAPI, client_address, validated

KEY, REFRESH = KeyRequest(), RefreshRequest()


class AuthAPI(ViewSetMixin, API):
    """The base of these routes. `method` is what the document calls the operation."""

    method = ""
    handler = dialect.exception_handler
    renderer_classes = (JSONRenderer, dialect.XMLRenderer, dialect.TextXMLRenderer)


class KeyViewSet(AuthAPI):
    """Exchange an API key for tokens."""

    method = "getTokenByKey"

    @schema.exchange
    def create(self, request: Request) -> Response:
        """POST: 200 with both tokens."""
        pair = services.exchange(validated(KEY, request)["key"], address=client_address(request))
        return dialect.answer("Token created successfully", self, pair)


class RefreshViewSet(AuthAPI):
    """Renew both tokens."""

    method = "refreshToken"

    @schema.refresh
    def create(self, request: Request) -> Response:
        """POST: 200 with both tokens, renewed."""
        body = validated(REFRESH, request)
        pair = services.refresh(body["pasta-token"], body["edi-token"])
        return dialect.answer("PASTA and EDI tokens refreshed successfully", self, pair)


class PingViewSet(AuthAPI):
    """Tell that the service is there."""

    method = "ping"

    @schema.ping
    def retrieve(self, request: Request) -> HttpResponse:
        """GET: 200 and the text `pong`."""
        return HttpResponse("pong", content_type="text/plain; charset=utf-8")


class NotFoundView(NotFoundAPI):
    """Everything else below `/auth/v1`."""

    handler = dialect.exception_handler
    renderer_classes = AuthAPI.renderer_classes
