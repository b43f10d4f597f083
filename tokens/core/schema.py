"""Helpers for the API description, for the `schema.py` of each app."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
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
    schema = {
        "type": "object",
        "properties": {name: _text(field) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }
    return {BODY: {"required": True, "content": {"application/json": {"schema": schema, "example": dict(example)}}}}


def _text(field: Any) -> dict[str, Any]:
    """The schema of a `StrictCharField`."""
    least = None if field.allow_blank else 1
    found = {"type": "string", "minLength": least, "maxLength": field.max_length, "description": field.help_text}
    refused = r"\x00" if field.allow_controls else r"\x00-\x1f\x7f-\x9f"
    # The library adds the empty string as one of two ways, of which only one may hold.
    found["pattern"] = f"^[^{refused}]{'+' if field.allow_blank else '*'}$"
    return {name: value for name, value in found.items() if value is not None}


class StrictCharFieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # theirs
    """Says which characters a text must not have."""

    target_class = "tokens.core.fields.StrictCharField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """The schema, the pattern included."""
        return _text(self.target)


class NoUnknownFieldsExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # theirs
    """Says that a body has no fields but those named."""

    target_class = "tokens.core.fields.NoUnknownFields"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """The schema, closed."""
        found: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001 — their own way
        return {**found, "additionalProperties": False}


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
