"""`/auth/v1` (the document "Token and API key API")."""

from typing import ClassVar

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSetMixin

from edi_auth import dialect, schema, services
from edi_auth.models import Profile
from edi_auth.serializers import KeyRequest, RefreshRequest
from tokens.core.audit import Actor
from tokens.core.errors import InvalidCredential
from tokens.core.http import API, JSONRenderer, NotFoundAPI, actor_of, client_address, validated
from tokens.core.operations import access

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
        access.note_actor(request, *pair.holder)
        return dialect.answer("Token created successfully", self, pair)


class RefreshViewSet(AuthAPI):
    """Renew both tokens."""

    method = "refreshToken"

    @schema.refresh
    def create(self, request: Request) -> Response:
        """POST: 200 with both tokens, renewed."""
        body = validated(REFRESH, request)
        pair = services.refresh(body["pasta-token"], body["edi-token"])
        access.note_actor(request, *pair.holder)
        return dialect.answer("PASTA and EDI tokens refreshed successfully", self, pair)


class ProfileTokensViewSet(AuthAPI):
    """Make tokens for a profile, end all it has, or lock it: what the EDI client library calls besides."""

    METHODS: ClassVar[dict[str, str]] = {"POST": "createToken", "PUT": "revokeToken", "DELETE": "lockProfile"}

    @property
    def method(self) -> str:  # type: ignore[override]  # one name for each HTTP method
        """What the client library calls the operation."""
        return self.METHODS.get(str(self.request.method), "unknown")

    @schema.create_tokens
    def create(self, request: Request, edi_id: str) -> Response:
        """POST: 200 with both tokens, for the holder of the service key."""
        actor = actor_of(request, kind="service", label="EDI_SERVICE_KEY")
        pair = services.create_tokens(edi_id, validated(KEY, request)["key"], actor=actor)
        return dialect.answer("Token created successfully", self, pair)

    @schema.end_tokens
    def update(self, request: Request, edi_id: str) -> Response:
        """PUT: 200 when no token of the profile counts any more."""
        profile, actor = self._administered(request, edi_id)
        services.end_tokens(profile, actor=actor)
        return dialect.done("Tokens revoked successfully", self)

    @schema.lock
    def destroy(self, request: Request, edi_id: str) -> Response:
        """DELETE: 200 when the profile is locked."""
        profile, actor = self._administered(request, edi_id)
        services.set_locked(profile, True, actor=actor)
        return dialect.done("Profile locked successfully", self)

    def _administered(self, request: Request, edi_id: str) -> tuple[Profile, Actor]:
        """The profile `edi_id` and the administrator of the `edi-token` cookie, who may do this to it."""
        raw = request.COOKIES.get("edi-token")
        if not raw:
            raise InvalidCredential("The edi-token cookie is missing.")
        administrator = services.administrator_of(raw)
        actor = actor_of(request, kind=Profile.kind, id=str(administrator.pk), label=str(administrator))
        return services.profile_of(edi_id), actor


class PublicKeyViewSet(AuthAPI):
    """The public keys for clients that pin a file."""

    method = "getPublicKey"
    is_limited = False
    cache_control = "public, max-age=300"

    @schema.public_key
    def retrieve(self, request: Request) -> HttpResponse:
        """GET: 200 with the key that verifies EDI tokens as PEM (RFC 7468)."""
        return HttpResponse(services.public_key_pem(), content_type="application/x-pem-file")


class PingViewSet(AuthAPI):
    """Tell that the service is there."""

    method = "ping"
    is_limited = False

    @schema.ping
    def retrieve(self, request: Request) -> HttpResponse:
        """GET: 200 and the text `pong`."""
        return HttpResponse("pong", content_type="text/plain; charset=utf-8")


class NotFoundView(NotFoundAPI):
    """Everything else below `/auth/v1`."""

    handler = dialect.exception_handler
    renderer_classes = AuthAPI.renderer_classes
