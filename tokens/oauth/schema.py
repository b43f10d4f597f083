"""What the API description says of the OAuth endpoints."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from tokens.core.schema import failures
from tokens.oauth.serializers import MAX_PARAMETERS, CredentialRequest

TAGS = ["Checking and ending credentials"]
Introspection = inline_serializer(
    "Introspection",
    {
        "active": serializers.BooleanField(help_text="Whether every door accepts the credential now."),
        "kind": serializers.CharField(required=False, help_text="The kind of credential."),
        "token_type": serializers.CharField(required=False, help_text="How it is presented."),
        "sub": serializers.CharField(required=False, help_text="Whom or what it stands for."),
        "iss": serializers.CharField(required=False, help_text="Who issued it."),
        "scope": serializers.CharField(required=False, help_text="What it may do, words apart by spaces."),
        "client_id": serializers.CharField(required=False, help_text="The name it goes by."),
        "username": serializers.CharField(required=False, help_text="The name of its owner."),
        "iat": serializers.IntegerField(required=False, help_text="When it was issued, in seconds."),
        "nbf": serializers.IntegerField(required=False, help_text="When it begins, in seconds."),
        "exp": serializers.IntegerField(required=False, help_text="When it expires, in seconds."),
    },
)
Empty = inline_serializer("Empty", {})
Jwk = inline_serializer(
    "Jwk",
    {
        "kty": serializers.CharField(help_text="EC or RSA."),
        "kid": serializers.CharField(help_text="The thumbprint (RFC 7638)."),
        "use": serializers.CharField(help_text="sig."),
        "alg": serializers.CharField(required=False, help_text="ES256 for EDI tokens; PASTA's has no name."),
        **{
            name: serializers.CharField(required=False, help_text="A part of the key.")
            for name in ("crv", "x", "y", "n", "e")
        },
    },
)
JwkSet = inline_serializer("JwkSet", {"keys": type(Jwk)(many=True)})
Error = inline_serializer(
    "OAuthError",
    {
        "error": serializers.CharField(help_text="A code of RFC 6749."),
        "error_description": serializers.CharField(help_text="What went wrong."),
    },
)


def _failure(code: str, description: str, text: str) -> tuple[str, dict[str, Any]]:
    return description, {"error": code, "error_description": text}


UNAUTHORIZED = _failure(
    "invalid_token", "There is no usable bearer token.", "The bearer token is missing or not valid."
)
FAILURES = {
    400: _failure("invalid_request", "The request is not as documented.", "token: is required."),
    401: UNAUTHORIZED,
    408: _failure("invalid_request", "The body did not arrive.", "The request body did not arrive."),
    413: _failure(
        "invalid_request", "The body is over 64 KiB.", "The request body is too large; at most 64 KiB are read."
    ),
    429: _failure("slow_down", "Too many from this address.", "Too many requests from this address; try again later."),
    500: _failure("server_error", "A fault of the server; its log tells which.", "Internal server error"),
    503: _failure(
        "temporarily_unavailable", "The database is away.", "The registry cannot be reached at the moment; try again."
    ),
}
EXAMPLE = OpenApiExample("token", {"token": "eyJhbGciOi…", "token_type_hint": "named_token"}, request_only=True)


class CredentialForm(CredentialRequest):
    """The same as a form."""


class CredentialFormExtension(OpenApiSerializerExtension):
    """Says that a form repeats no parameter, known or not (RFC 6749, sections 3.1 and 3.2): each is one text."""

    target_class = CredentialForm

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """The schema, with what may stand beside the known parameters."""
        found: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001 — their own way
        return {**found, "additionalProperties": {"type": "string"}, "maxProperties": MAX_PARAMETERS}


REQUEST = {"application/x-www-form-urlencoded": CredentialForm, "application/json": CredentialRequest}

introspect = extend_schema(
    operation_id="introspect",
    tags=TAGS,
    summary="Ask whether a credential is usable (RFC 7662)",
    description=(
        "Any credential of any kind. What is unknown, malformed, expired or revoked is not active, and nothing more "
        "is said of it. The caller needs a named token; a read token does."
    ),
    request=REQUEST,
    examples=[EXAMPLE],
    responses={
        200: OpenApiResponse(
            Introspection,
            description="What is known.",
            examples=[
                OpenApiExample(
                    "active",
                    {
                        "active": True,
                        "kind": "named_token",
                        "token_type": "Bearer",
                        "sub": "0c868371-a598-4560-bf80-47ae30395984",
                        "iat": 1790000000,
                        "iss": "token",
                        "scope": "read write",
                        "client_id": "example",
                    },
                    response_only=True,
                ),
                OpenApiExample("inactive", {"active": False}, response_only=True),
            ],
        ),
        **failures(Error, FAILURES),
    },
)
revoke = extend_schema(
    operation_id="revoke",
    tags=TAGS,
    summary="End a credential (RFC 7009)",
    description=(
        "By the bearer of a write token, or, unless the operator forbids it, by whoever has found the credential. EDI "
        "and PASTA tokens cannot be told apart once issued: all of the profile's tokens end."
    ),
    request=REQUEST,
    examples=[EXAMPLE],
    auth=[{"namedToken": []}, {}],  # type: ignore[list-item]  # drf-spectacular takes requirement objects
    responses={
        200: OpenApiResponse(Empty, description="It is ended, or there was nothing to end."),
        **failures(Error, FAILURES),
    },
)
jwks = extend_schema(
    operation_id="getJwks",
    tags=TAGS,
    summary="The public keys that verify EDI and PASTA tokens (RFC 7517)",
    request=None,
    auth=[],
    responses={200: OpenApiResponse(JwkSet, description="A JWK Set.")},
)
