"""`/_/token` and `/_/token/value` (the Token document)."""

from typing import Any, cast
from urllib.parse import urlencode

from rest_framework.exceptions import ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.viewsets import ViewSetMixin

from tokens import dialect, schema, serializers, services
from tokens.core.audit import Actor
from tokens.core.authentication import BearerAuthentication
from tokens.core.errors import Invalid, NotFound
from tokens.core.http import API, NotFoundAPI, actor_of, validated
from tokens.models import NamedToken

NAME, TOKEN = serializers.NameRequest(), serializers.TokenRequest()
ROTATE = serializers.RotateRequest()
PAGE, VALUE = serializers.PageQuery(), serializers.ValueQuery()


class MayCall(BasePermission):
    """A read token may list; every other call needs `write`, reading a value included (it could be a write token's)."""

    message = "This token has no write permission."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the bearer may make this call; nobody may without one (401)."""
        token: Any = request.user
        if not isinstance(token, NamedToken):
            return False
        if request.method not in {"HEAD", "OPTIONS"}:
            description: Any = request.auth
            services.note_use(token, is_previous=description.is_previous)
        return token.can_write or view.action in {"list", None}


class TokenAPI(ViewSetMixin, API):
    """The base of both routes."""

    handler = dialect.exception_handler
    authentication_classes = (BearerAuthentication,)
    permission_classes = (MayCall,)

    @property
    def actor(self) -> Actor:
        """The bearer, as the audit log names it."""
        token: Any = self.request.user
        return actor_of(self.request, kind=NamedToken.kind, id=str(token.pk), label=token.name)


def queried(serializer: Serializer[Any], request: Request) -> dict[str, Any]:
    """The query string of `request` checked by `serializer`.

    Raises DRF's `ValidationError`, also for a parameter that is repeated: proxies take one of them, servers another.
    """
    for name, values in request.query_params.lists():
        if len(values) > 1 and name in serializer.fields:
            raise ValidationError({name: "must not be repeated."})
    return cast(dict[str, Any], serializer.run_validation(request.query_params.dict()))


class TokenViewSet(TokenAPI):
    """Create, list, update and delete named tokens."""

    @schema.create
    def create(self, request: Request) -> Response:
        """POST: 201 with the new token and its value."""
        fields = validated(TOKEN, request)
        minted = services.mint(fields.pop("name"), actor=self.actor, **fields)
        return dialect.data(dialect.row(minted.row) | {"token": minted.secret}, status=201)

    @schema.list_
    def list(self, request: Request) -> Response:
        """GET: 200 with all tokens by creation, or a page of them."""
        page = queried(PAGE, request)
        limit = page.get("limit")
        try:
            tokens = services.listing(after=page.get("after"), cursor=page.get("cursor", 0), limit=limit and limit + 1)
        except NotFound as exc:
            raise Invalid("after", f"after: {exc}") from None
        headers = {}
        if limit and len(tokens) > limit:
            tokens = tokens[:limit]
            query = urlencode({"limit": limit, "cursor": tokens[-1].pk})
            headers["Link"] = f'<{request.path}?{query}>; rel="next"'
        return dialect.data(*map(dialect.row, tokens), headers=headers)

    @schema.update
    def update(self, request: Request) -> Response:
        """PUT: 200 with the token as it is now."""
        fields = validated(TOKEN, request)
        name = fields.pop("name")
        if services.is_shown_expiry(name, fields.get("expires_at")):
            del fields["expires_at"]
        return dialect.data(dialect.row(services.update(name, actor=self.actor, **fields)))

    @schema.destroy
    def destroy(self, request: Request) -> Response:
        """DELETE: 200 with the token that went."""
        return dialect.data(dialect.row(services.revoke(validated(NAME, request)["name"], actor=self.actor)))


class RotateViewSet(TokenAPI):
    """Give a token a new value, and tell whether the old one is still used."""

    @schema.retrieve_rotation
    def retrieve(self, request: Request) -> Response:
        """GET: 200 with the token, the end of its previous value and the last use of it."""
        name = queried(VALUE, request)["name"]
        return dialect.data(dialect.rotated_row(services.named(name)))

    @schema.rotate
    def create(self, request: Request) -> Response:
        """POST: 200 with the token and its new value; the old one stays good for the grace."""
        body = validated(ROTATE, request)
        minted = services.rotate(body["name"], actor=self.actor, grace=body["grace"])
        return dialect.data(dialect.rotated_row(minted.row) | {"token": minted.secret})


class ValueViewSet(TokenAPI):
    """Read the value of a token back."""

    @schema.retrieve_value
    def retrieve(self, request: Request) -> Response:
        """GET: 200 with the value."""
        name = queried(VALUE, request)["name"]
        value = services.value(name, actor=self.actor, is_recorded=request.method == "GET")
        return dialect.data({"token": value})


class NotFoundView(NotFoundAPI):
    """Everything else below `/_/`."""

    handler = dialect.exception_handler
