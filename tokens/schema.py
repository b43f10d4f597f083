"""What the API description says of `/_/token`."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
    inline_serializer,
)
from rest_framework import serializers

from tokens.core.models import State
from tokens.core.schema import failures, request_body
from tokens.serializers import NameRequest, PageQuery, RotateRequest, TokenRequest, ValueQuery

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
OVERLAP = {
    "rotated_at": 1790000000000,
    "previous_valid_until": 1790086400000,
    "previous_last_used_at": 1790000040000,
}
REQUEST = OpenApiExample(
    "example",
    {"name": "example", "expiration_date": 1632960000000, "active": True, "write": True},
    request_only=True,
)


def _milliseconds(text: str, **kwargs: Any) -> serializers.IntegerField:
    return serializers.IntegerField(help_text=f"{text}, in milliseconds since 1970-01-01T00:00:00Z.", **kwargs)


ROW: dict[str, Any] = {
    "name": serializers.CharField(help_text="The name of the token."),
    "expiration_date": _milliseconds("When it expires; equal to `updated_at` if it does not"),
    "active": serializers.BooleanField(help_text="If the token is active."),
    "write": serializers.BooleanField(help_text="If the token has write permissions."),
    "state": serializers.ChoiceField(choices=State.values, help_text="What the token is now."),
    "created_at": _milliseconds("When it was made"),
    "updated_at": _milliseconds("When it was last changed"),
    "last_used_at": _milliseconds("When it was last used, exact to a minute", allow_null=True),
}
Row = inline_serializer("NamedToken", dict(ROW))
Created = inline_serializer("CreatedNamedToken", ROW | {"token": serializers.CharField(help_text="Its value.")})
ROTATION: dict[str, Any] = ROW | {
    "rotated_at": _milliseconds("When it got its value", allow_null=True),
    "previous_valid_until": _milliseconds("Until when the old value is good", allow_null=True),
    "previous_last_used_at": _milliseconds("When the old value was last used, exact to a minute", allow_null=True),
}
Rotation = inline_serializer("NamedTokenRotation", dict(ROTATION))
Rotated = inline_serializer(
    "RotatedNamedToken", ROTATION | {"token": serializers.CharField(help_text="Its new value.")}
)
Value = inline_serializer("NamedTokenValue", {"token": serializers.CharField(help_text="The value of the token.")})
Error = inline_serializer("NamedTokenError", {"error": serializers.CharField(help_text="What went wrong.")})


Rows = extend_schema_serializer(many=False)(type(inline_serializer("NamedTokens", {"data": type(Row)(many=True)})))
CreatedRows = inline_serializer("CreatedNamedTokens", {"data": type(Created)(many=True)})
RotationRows = inline_serializer("NamedTokenRotations", {"data": type(Rotation)(many=True)})
RotatedRows = inline_serializer("RotatedNamedTokens", {"data": type(Rotated)(many=True)})
Values = inline_serializer("NamedTokenValues", {"data": type(Value)(many=True)})


def _data(envelope: Any, description: str, *rows: Mapping[str, Any]) -> OpenApiResponse:
    example = OpenApiExample("answer", {"data": rows}, response_only=True)
    return OpenApiResponse(envelope, description=description, examples=[example])


UNAUTHORIZED = {
    401: ("The bearer token is missing or not valid.", {"error": "The bearer token is missing or not valid."})
}
FORBIDDEN = {403: ("The bearer token has no write permission.", {"error": "This token has no write permission."})}
BAD = {400: ("The request is not as documented; the message names the field.", {"error": "name: is required."})}
UNKNOWN = {404: ("There is no token of that name.", {"error": "There is no token named 'example'."})}
TAKEN = {
    409: ("The name is taken; the stored token is untouched.", {"error": "There is a token named 'example' already."})
}
LARGE = {413: ("The body is over 64 KiB.", {"error": "The request body is too large; at most 64 KiB are read."})}
LATE = {408: ("The body did not arrive.", {"error": "The request body did not arrive."})}
LIMIT = {
    429: ("Too many failures from this address.", {"error": "Too many requests from this address; try again later."})
}
FAULT = {
    500: ("A fault of the server; its log tells which.", {"error": "Internal server error"}),
    503: ("The database is away; try again.", {"error": "The registry cannot be reached at the moment; try again."}),
}

create = extend_schema(
    operation_id="createToken",
    tags=TAGS,
    summary="Create a token",
    description="The value is in the answer, and can be read back with `GET /_/token/value`.",
    request=TokenRequest,
    examples=[REQUEST],
    responses={
        201: _data(CreatedRows, "The new token with its value.", EXAMPLE | {"token": "eyJhbGciOi…"}),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | TAKEN | LATE | LARGE | LIMIT | FAULT),
    },
)
list_ = extend_schema(
    operation_id="listTokens",
    tags=TAGS,
    summary="List all tokens",
    description="All tokens by creation, without their values. `limit` asks for a page, whose `Link` names the next.",
    parameters=[
        PageQuery,
        OpenApiParameter(
            "Link",
            str,
            OpenApiParameter.HEADER,
            response=[200],
            description="The next page (RFC 8288), if there is one.",
        ),
    ],
    responses={
        200: _data(Rows, "The tokens.", EXAMPLE),
        **failures(Error, BAD | UNAUTHORIZED | LIMIT | FAULT),
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
        200: _data(Rows, "The token as it is now.", EXAMPLE),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | UNKNOWN | LATE | LARGE | LIMIT | FAULT),
    },
)
destroy = extend_schema(
    operation_id="deleteToken",
    tags=TAGS,
    summary="Delete a token",
    description="The token stops working at once and its name is free again.",
    extensions=request_body(NameRequest, {"name": "example"}),
    responses={
        200: _data(Rows, "The token that went.", EXAMPLE | {"state": "revoked"}),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | UNKNOWN | LATE | LARGE | LIMIT | FAULT),
    },
)
rotate = extend_schema(
    operation_id="rotateToken",
    tags=TAGS,
    summary="Give a token a new value",
    description="The old value still works for the grace period. A value that was rotated out before ends now.",
    request=RotateRequest,
    examples=[OpenApiExample("example", {"name": "example", "grace": 86400000}, request_only=True)],
    responses={
        200: _data(
            RotatedRows,
            "The token with its new value.",
            EXAMPLE | OVERLAP | {"token": "eyJhbGciOi…"},
        ),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | UNKNOWN | LATE | LARGE | LIMIT | FAULT),
    },
)
retrieve_rotation = extend_schema(
    operation_id="getTokenRotation",
    tags=TAGS,
    summary="Tell whether the old value of a token is still used",
    description=(
        "The old value was used since the rotation when `previous_last_used_at` is later than `rotated_at`. "
        "No value is shown. Needs write permission, as the rotation does."
    ),
    parameters=[ValueQuery],
    responses={
        200: _data(RotationRows, "The token.", EXAMPLE | OVERLAP),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | UNKNOWN | LIMIT | FAULT),
    },
)
retrieve_value = extend_schema(
    operation_id="getTokenValue",
    tags=TAGS,
    summary="Read the value of a token back",
    description="Needs write permission: otherwise a read token could fetch a write token.",
    parameters=[ValueQuery],
    responses={
        200: _data(Values, "The value.", {"token": "eyJhbGciOi…"}),
        **failures(Error, BAD | UNAUTHORIZED | FORBIDDEN | UNKNOWN | LIMIT | FAULT),
    },
)


class BearerScheme(OpenApiAuthenticationExtension):
    """How the API description names the bearer token."""

    target_class = "tokens.core.authentication.BearerAuthentication"
    name = "namedToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """RFC 6750."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The value of a named token."}
