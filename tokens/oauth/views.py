"""`/introspect`, `/revoke` and `/.well-known/jwks.json`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated, ParseError, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSetMixin

from tokens import services
from tokens.core import kinds, throttling
from tokens.core.audit import Actor
from tokens.core.authentication import BearerAuthentication
from tokens.core.errors import NotConfigured
from tokens.core.http import API, JSONBodyParser, actor_of, client_address, validated
from tokens.core.models import Credential, State
from tokens.models import NamedToken
from tokens.oauth import dialect, schema
from tokens.oauth.serializers import MAX_PARAMETERS, CredentialRequest

TOKEN = CredentialRequest()
# States from which a credential can come back, so that ending it makes a difference.
DORMANT = {State.INACTIVE, State.LOCKED, State.PENDING}


class FormOrJSONParser(JSONBodyParser):
    """A form as the RFCs have it, or a JSON object; which of them the first character tells."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The parameters; raises `TooLarge` and DRF's `ParseError`, for a repeated one too (RFC 6749, section 3.1)."""
        raw = self.read(stream)
        if raw.lstrip()[:1] in {b"{", b"["}:
            return self.loads(raw)
        try:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
        except ValueError:
            raise ParseError("The body is neither a form nor a JSON object.") from None
        if len(dict(pairs)) != len(pairs):
            raise ParseError("A parameter is repeated.")
        return dict(pairs)


class HasBearer(BasePermission):
    """Whoever has a usable named token may ask, a read token too."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether there is one; its use is noted."""
        token: Any = request.user
        if not isinstance(token, NamedToken):
            return False
        note_use(request)
        return True


def note_use(request: Request) -> None:
    """Remember that the bearer of `request` was used."""
    bearer: Any = request.user
    description: Any = request.auth
    services.note_use(bearer, is_previous=description.is_previous)


class OAuthAPI(ViewSetMixin, API):
    """The base of these routes."""

    handler = dialect.exception_handler
    parser_classes = (FormOrJSONParser,)
    authentication_classes: Sequence[type[BaseAuthentication]] = (BearerAuthentication,)


class IntrospectViewSet(OAuthAPI):
    """Tell whether a credential is usable (RFC 7662)."""

    permission_classes = (HasBearer,)

    @schema.introspect
    def create(self, request: Request) -> Response:
        """POST: 200, whatever the credential is."""
        asked = validated(TOKEN, request)
        hint = asked.get("token_type_hint", "")
        return dialect.introspection(kinds.verify(asked["token"], now=timezone.now(), hint=hint))


class RevokeViewSet(OAuthAPI):
    """End a credential (RFC 7009): by the bearer of a write token, or by whoever has found the credential itself."""

    @schema.revoke
    def create(self, request: Request) -> Response:
        """POST: 200 whether or not there was anything to end.

        What can no longer be used ends nothing: or else an old token from a log would end those of today. The bearer
        of a write token ends what is switched off, locked or yet to begin as well.
        """
        asked = validated(TOKEN, request)
        actor, is_writer = self.judge(request)
        raw, hint = asked["token"], asked.get("token_type_hint", "")
        usable, found = kinds.verify(raw, now=timezone.now(), hint=hint), kinds.find(raw, hint=hint)
        if found is not None:
            kind, row = found
            if usable is not None or (is_writer and isinstance(row, Credential) and row.state in DORMANT):
                kind.revoke(row, actor=actor, reason="revoked through /revoke")
        return Response({})

    def judge(self, request: Request) -> tuple[Actor, bool]:
        """Who asks, and whether with a write token. Raises DRF's `NotAuthenticated` and `PermissionDenied`."""
        bearer: Any = request.user
        if isinstance(bearer, NamedToken):
            note_use(request)
            if bearer.can_write:
                return actor_of(request, kind=NamedToken.kind, id=str(bearer.pk), label=bearer.name), True
            if not settings.REVOKE_BY_POSSESSION:
                raise PermissionDenied("This token has no write permission.")
        elif not settings.REVOKE_BY_POSSESSION:
            raise NotAuthenticated
        throttling.count("revoke", client_address(request), limit=settings.MAX_UNAUTHENTICATED)
        return actor_of(request, kind="public", label="holder of the credential"), False


class JWKSViewSet(OAuthAPI):
    """The public keys of everything that can be verified without asking here."""

    authentication_classes = ()
    is_limited = False
    cache_control = "public, max-age=300"

    @schema.jwks
    def retrieve(self, request: Request) -> Response:
        """GET: 200 with a JWK Set (RFC 7517, section 5)."""
        keys: dict[str, dict[str, str]] = {}
        for kind in kinds.all_kinds():
            with suppress(NotConfigured):
                keys |= {key["kid"]: key for key in kind.public_keys()}
        return Response({"keys": list(keys.values())})
