"""What the API description says of `/_/token`."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from tokens.core.models import State
from tokens.core.schema import failures
from tokens.serializers import NameRequest, PageQuery, TokenRequest, ValueQuery

TAGS = ["Named tokens"]
EXAMPLE = {
    "name": "example",
    "expiration_date": 1632960000000,
    "active": True,
    "write": True,
    "state": "expired",
    "created_at": 1790000000000,
    "updated_at": 1790000000000,
    "last_used_at": None,
}
REQUEST = OpenApiExample(
    "example",
    {"name": "example", "expiration_date": 1632960000000, "active": True, "write": True},
    request_only=True,
)


def _milliseconds(text: str, **kwargs: bool) -> serializers.IntegerField:
    return serializers.IntegerField(help_text=f"{text}, in milliseconds since 1970-01-01T00:00:00Z.", **kwargs)


ROW = {
    "name": serializers.CharField(help_text="The name of the token."),
    "expiration_date": _milliseconds("When it expires; equal to `updated_at` if it does not"),
    "active": serializers.BooleanField(help_text="If the token is active."),
    "write": serializers.BooleanField(help_text="If the token has write permissions."),
    "state": serializers.ChoiceField(choices=State.values, help_text="What the token is now."),
    "created_at": _milliseconds("When it was made"),
    "updated_at": _milliseconds("When it was last changed"),
    "last_used_at": _milliseconds("When it was last used, exact to a minute", allow_null=True),
}
Row = inline_serializer("NamedToken", ROW)
Created = inline_serializer("CreatedNamedToken", ROW | {"token": serializers.CharField(help_text="Its value.")})
Value = inline_serializer("NamedTokenValue", {"token": serializers.CharField(help_text="The value of the token.")})
Error = inline_serializer("NamedTokenError", {"error": serializers.CharField(help_text="What went wrong.")})


def _data(name: str, item: serializers.Serializer, description: str, example: object) -> OpenApiResponse:
    envelope = inline_serializer(name, {"data": type(item)(many=True)})
    return OpenApiResponse(envelope, description=description, examples=[OpenApiExample(name, {"data": [example]})])


UNAUTHORIZED = {401: ("The bearer token is missing or not valid.", {"error": "The bearer token is missing or not valid."})}
FORBIDDEN = {403: ("The bearer token has no write permission.", {"error": "This token has no write permission."})}
BAD = {400: ("The body is not what is documented; the message names the field.", {"error": "name: is required."})}
UNKNOWN = {404: ("There is no token of that name.", {"error": "There is no token named 'example'."})}
TAKEN = {409: ("The name is taken; the stored token is untouched.", {"error": "There is a token named 'example' already."})}
LARGE = {413: ("The body is over 64 KiB.", {"error": "The request body is too large; at most 64 KiB are read."})}
AWAY = {503: ("The database is away; try again.", {"error": "The registry cannot be reached at the moment; try again."})}

create = extend_schema(
    operation_id="createToken",
    tags=TAGS,
    summary="Create a token",
    description="The value is in the answer, and can be read back with `GET /_/token/value`.",
    request=TokenRequest,
    examples=[REQUEST],
    responses={
        201: _data("CreatedNamedTokens", Created, "The new token with its value.", EXAMPLE | {"token": "eyJhbGciOi…"}),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | TAKEN | LARGE | AWAY),
    },
)
list_ = extend_schema(
    operation_id="listTokens",
    tags=TAGS,
    summary="List all tokens",
    description="All tokens by creation, without their values; a page of them with `limit`, its `Link` header names the next.",
    parameters=[PageQuery],
    responses={
        200: _data("NamedTokens", Row, "The tokens.", EXAMPLE),
        **failures(Error, BAD | UNAUTHORIZED | AWAY),
    },
)
update = extend_schema(
    operation_id="updateToken",
    tags=TAGS,
    summary="Update a token",
    description="Fields that are left out keep their value.",
    request=TokenRequest,
    examples=[REQUEST],
    responses={
        200: _data("NamedTokens", Row, "The token as it is now.", EXAMPLE),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | UNKNOWN | LARGE | AWAY),
    },
)
destroy = extend_schema(
    operation_id="deleteToken",
    tags=TAGS,
    summary="Delete a token",
    description="The token stops working at once and its name is free again.",
    request=NameRequest,
    examples=[OpenApiExample("example", {"name": "example"}, request_only=True)],
    responses={
        200: _data("NamedTokens", Row, "The token that went.", EXAMPLE | {"state": "revoked"}),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | UNKNOWN | LARGE | AWAY),
    },
)
retrieve_value = extend_schema(
    operation_id="getTokenValue",
    tags=TAGS,
    summary="Read the value of a token back",
    description="Asks for write permission: else a read token could fetch a write token.",
    parameters=[ValueQuery],
    responses={
        200: _data("NamedTokenValues", Value, "The value.", {"token": "eyJhbGciOi…"}),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | UNKNOWN | AWAY),
    },
)


class BearerScheme(OpenApiAuthenticationExtension):
    """How the API description names the bearer token."""

    target_class = "tokens.core.authentication.BearerAuthentication"
    name = "namedToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """RFC 6750."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The value of a named token."}
