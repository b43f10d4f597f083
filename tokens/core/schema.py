"""Helpers for the API description, for the `schema.py` of each app."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse


def failures(
    serializer: Any, cases: Mapping[int, tuple[str, Mapping[str, Any]]], media_types: tuple[str, ...] = ()
) -> dict[Any, OpenApiResponse]:
    """The responses of an operation that went wrong: by status, what it means and an example body.

    `media_types` names them where there are more than the renderers tell.
    """
    responses: dict[Any, OpenApiResponse] = {}
    for status, (description, body) in cases.items():
        response = OpenApiResponse(
            serializer,
            description=description,
            examples=[OpenApiExample(str(status), dict(body), response_only=True, status_codes=[str(status)])],
        )
        for key in [(status, media_type) for media_type in media_types] or [status]:
            responses[key] = response
    return responses
