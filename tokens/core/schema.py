"""Helpers for the API description, for the `schema.py` of each app."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.serializers import Serializer

BODY = "x-request-body"


def failures(serializer: Any, cases: Mapping[int, tuple[str, Mapping[str, Any]]]) -> dict[Any, OpenApiResponse]:
    """The responses of an operation that went wrong: by status, what it means and an example body."""
    return {
        status: OpenApiResponse(
            serializer,
            description=description,
            examples=[OpenApiExample(str(status), dict(body), response_only=True, status_codes=[str(status)])],
        )
        for status, (description, body) in sorted(cases.items())
    }


def request_body(serializer: type[Serializer[Any]], example: Mapping[str, Any]) -> dict[str, Any]:
    """The `extensions` of a DELETE that has a body, which drf-spectacular never describes; see `complete`."""
    fields = serializer().fields
    properties = {name: {"type": "string", "description": field.help_text} for name, field in fields.items()}
    schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name, field in fields.items() if field.required],
    }
    return {BODY: {"required": True, "content": {"application/json": {"schema": schema, "example": dict(example)}}}}


def complete(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add what drf-spectacular leaves out: bodies of DELETE, and the headers that all answers have."""
    for operations in result["paths"].values():
        for operation in operations.values():
            if BODY in operation:
                operation["requestBody"] = operation.pop(BODY)
            for status, response in operation["responses"].items():
                response.setdefault("headers", {}).update(_headers(status))
    return result


def _headers(status: str) -> dict[str, Any]:
    headers = {
        "Cache-Control": ("Nothing is to be stored.", "no-store"),
        "X-Request-ID": ("The id of this request, as the log has it.", "f2b1a6c5b8a3b159"),
    }
    if status == "401":
        headers["WWW-Authenticate"] = ("The challenge, where a bearer token is asked for (RFC 6750).", "Bearer")
    if status in {"429", "503"}:
        headers["Retry-After"] = ("Seconds to wait before trying again.", "2")
    return {
        name: {"description": text, "schema": {"type": "string"}, "example": example}
        for name, (text, example) in headers.items()
    }
