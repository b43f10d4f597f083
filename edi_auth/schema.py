"""What the API description says of `/auth/v1`."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from edi_auth.serializers import KeyRequest, RefreshRequest
from tokens.core.schema import failures

TAGS = ["EDI authentication"]
PASTA, EDI = "dWlkPUVESSxvPUVESSxkYz1lZGlyZXBvc2l0b3J5…", "eyJhbGciOiJFUzI1NiIsInR5cCI6I…"


def _fields(*names: str) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    texts = {
        "msg": "What was done, or what went wrong.",
        "pasta-token": "The PASTA token.",
        "edi-token": "The EDI token.",
        "method": "The operation.",
    }
    return {name: serializers.CharField(help_text=texts[name]) for name in names}


Pair = inline_serializer("TokenPair", _fields("msg", "pasta-token", "edi-token", "method"))
Error = inline_serializer("AuthError", _fields("msg", "method"))


def _pair(message: str, method: str) -> OpenApiResponse:
    body = {"msg": message, "pasta-token": PASTA, "edi-token": EDI, "method": method}
    return OpenApiResponse(
        Pair, description="Both tokens.", examples=[OpenApiExample(method, body, response_only=True)]
    )


def _failures(method: str, **messages: str) -> dict[Any, OpenApiResponse]:
    descriptions = {
        400: "The request is not as documented; the message names the field.",
        401: "The credential is unknown, malformed or expired.",
        403: "The credential was revoked, its owner is locked, or it is somebody else's.",
        408: "The body did not arrive.",
        413: "The body is over 64 KiB.",
        429: "Too many failures from this address.",
        500: "A fault of the server; its log tells which.",
        503: "Something this needs is away; try again.",
    }
    examples = {
        400: messages["bad"],
        401: messages["unauthorized"],
        403: messages["forbidden"],
        408: "The request body did not arrive.",
        413: "The request body is too large; at most 64 KiB are read.",
        429: "Too many requests from this address; try again later.",
        500: "Internal server error",
        503: "The registry cannot be reached at the moment; try again.",
    }
    cases = {status: (text, {"msg": examples[status], "method": method}) for status, text in descriptions.items()}
    return failures(Error, cases)


exchange = extend_schema(
    operation_id="getTokenByKey",
    tags=TAGS,
    summary="Exchange an API key for tokens",
    request=KeyRequest,
    examples=[OpenApiExample("key", {"key": "R9arQwYMFqdgVVYt7jqcsxfyPyU"}, request_only=True)],
    auth=[],
    responses={
        200: _pair("Token created successfully", "getTokenByKey"),
        **_failures(
            "getTokenByKey",
            bad="key: is required.",
            unauthorized="Invalid API key",
            forbidden="The API key was revoked or switched off, or its owner or group is locked.",
        ),
    },
)
refresh = extend_schema(
    operation_id="refreshToken",
    tags=TAGS,
    summary="Renew a PASTA and an EDI token",
    description=(
        "The refreshed tokens match the originals but for their times. The EDI token is authoritative: a PASTA token "
        "that has expired is renewed as long as the EDI token has not. No database is asked."
    ),
    request=RefreshRequest,
    examples=[OpenApiExample("tokens", {"pasta-token": PASTA, "edi-token": EDI}, request_only=True)],
    auth=[],
    responses={
        200: _pair("PASTA and EDI tokens refreshed successfully", "refreshToken"),
        **_failures(
            "refreshToken",
            bad="edi-token: is required.",
            unauthorized="The EDI token has expired.",
            forbidden="The PASTA token and the EDI token belong to different identities.",
        ),
    },
)
ping = extend_schema(
    operation_id="ping",
    tags=TAGS,
    summary="Ask whether the service is there",
    auth=[],
    request=None,
    responses={
        (200, "text/plain"): OpenApiResponse(
            OpenApiTypes.STR, description="The text `pong`.", examples=[OpenApiExample("pong", "pong")]
        )
    },
)


EDI_ID = OpenApiParameter("edi_id", str, OpenApiParameter.PATH, description="The EDI-ID of the profile.")
COOKIE = OpenApiParameter(
    "edi-token", str, OpenApiParameter.COOKIE, required=True, description="The EDI token of an administrator."
)


def _profile_failures(method: str) -> dict[Any, OpenApiResponse]:
    shared = _failures(
        method,
        bad="The body is not valid JSON.",
        unauthorized="The EDI token has expired.",
        forbidden="Only an administrator may do this.",
    )
    unknown = {404: ("There is no such profile.", {"msg": "There is no profile EDI-0.", "method": method})}
    return shared | failures(Error, unknown)


def _done(message: str, method: str) -> OpenApiResponse:
    example = OpenApiExample(method, {"msg": message, "method": method}, response_only=True)
    return OpenApiResponse(Error, description="It is done.", examples=[example])


create_tokens = extend_schema(
    operation_id="createProfileToken",
    tags=TAGS,
    summary="Make tokens for a profile",
    description="For a service that holds the service key; 404 while the operator has set none.",
    parameters=[EDI_ID],
    request=KeyRequest,
    auth=[],
    responses={200: _pair("Token created successfully", "createToken"), **_profile_failures("createToken")},
)
end_tokens = extend_schema(
    operation_id="revokeProfileTokens",
    tags=TAGS,
    summary="End all tokens of a profile",
    parameters=[EDI_ID, COOKIE],
    request=None,
    auth=[],
    responses={200: _done("Tokens revoked successfully", "revokeToken"), **_profile_failures("revokeToken")},
)
lock = extend_schema(
    operation_id="lockProfile",
    tags=TAGS,
    summary="Lock a profile",
    parameters=[EDI_ID, COOKIE],
    request=None,
    auth=[],
    responses={200: _done("Profile locked successfully", "lockProfile"), **_profile_failures("lockProfile")},
)
public_key = extend_schema(
    operation_id="getPublicKey",
    tags=TAGS,
    summary="The public key that verifies EDI tokens",
    auth=[],
    request=None,
    responses={
        (200, "application/x-pem-file"): OpenApiResponse(
            OpenApiTypes.STR,
            description="The key as PEM (RFC 7468).",
            examples=[OpenApiExample("pem", "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n")],
        )
    },
)
