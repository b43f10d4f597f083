"""What drf-spectacular cannot know of the API description, added when it is made."""

from typing import Any

Schema = dict[str, Any]


def add_delete_bodies(result: Schema, generator: Any, **kwargs: Any) -> Schema:
    """`DELETE /_/token` has a body, which drf-spectacular never describes."""
    operation = result["paths"]["/_/token"]["delete"]
    schema = {"$ref": "#/components/schemas/NameRequest"}
    examples = {"Example": {"value": {"name": "example"}}}
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
    return result


def add_common_responses(result: Schema, generator: Any, **kwargs: Any) -> Schema:
    """Headers that every answer has, and the challenge of a 401."""
    return result
