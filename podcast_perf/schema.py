"""What the API description says of `GET /token`."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from tokens.core.schema import failures

Token = inline_serializer("PerformanceTokenAnswer", {"token": serializers.CharField(help_text="The signed token.")})
Error = inline_serializer(
    "PerformanceTokenError",
    {
        "error": serializers.CharField(help_text="What went wrong."),
        "detail": serializers.CharField(required=False, help_text="More about it."),
    },
)

retrieve = extend_schema(
    operation_id="getPerformanceToken",
    tags=["Podcast performance"],
    summary="Fetch a podcast performance admin token",
    description=(
        "A fresh HS256 JWT for the holder of a public key, stored before it is returned. Where the operator allows "
        "it, a request without the header gets a listener's token for feeds and players."
    ),
    parameters=[
        OpenApiParameter(
            "X-PUB-KEY", str, OpenApiParameter.HEADER, required=True, description="Public key of the publisher."
        ),
        OpenApiParameter(
            "expiresIn",
            OpenApiTypes.STR,
            OpenApiParameter.QUERY,
            required=False,
            description="Hours that a listener's token lasts (`1`, `2h`). Never changes an admin token.",
        ),
    ],
    request=None,
    auth=[],
    responses={
        200: OpenApiResponse(
            Token,
            description="The token.",
            examples=[OpenApiExample("token", {"token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzIjoi….eUTxAjLJ…"})],
        ),
        **failures(
            Error,
            {
                400: ("The public key is absent, empty or unknown.", {"error": "Invalid public key"}),
                429: (
                    "Too many failures from this address, or too many listener tokens.",
                    {"error": "Too many requests from this address; try again later."},
                ),
                500: (
                    "The server has no secret, or the token could not be stored.",
                    {"error": "Secret key not configured"},
                ),
                503: (
                    "The database is away; try again.",
                    {"error": "The registry cannot be reached at the moment; try again."},
                ),
            },
        ),
    },
)
