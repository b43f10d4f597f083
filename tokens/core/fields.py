"""Serializer fields that take a JSON value of their own type and convert nothing."""

import re
from typing import Any

from rest_framework import serializers

# What Unicode calls control characters (category Cc), and halves of characters, which no UTF-8 can hold.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SURROGATES = re.compile(r"[\ud800-\udfff]")


def whole(number: Any) -> int | None:
    """The whole number that a JSON number is, however it is written; None for whatever is none.

    JSON knows one sort of number (RFC 8259, section 6): `1.0` and `1e0` are 1.
    """
    if type(number) is int:
        return number
    return int(number) if type(number) is float and number.is_integer() else None


def first_sentence(detail: Any, *, name: str = "") -> str:
    """The first complaint of a serializer, the field it is about put before it."""
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        return first_sentence(value, name=str(key))
    if isinstance(detail, list):
        return first_sentence(detail[0], name=name)
    return f"{name}: {detail}" if name and name != "non_field_errors" else str(detail)


class StrictCharField(serializers.CharField):
    """A JSON string, kept as it came. NUL and, unless `allow_controls`, other control characters are refused."""

    default_error_messages = {  # noqa: RUF012 — DRF's own idiom: merged along the MRO, never changed
        "invalid": "must be a string.",
        "blank": "must not be empty.",
        "required": "is required.",
        "null": "must be a string.",
        "max_length": "must have at most {max_length} characters.",
        "control": "must not contain control characters.",
        "surrogate": "must not contain half a surrogate pair.",
    }

    def __init__(self, *, allow_controls: bool = False, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)
        self.allow_controls = allow_controls
        # `to_internal_value` looks for both itself: DRF's way, in a loop over the characters, takes 150 µs for a token.
        looped = ("ProhibitNullCharactersValidator", "ProhibitSurrogateCharactersValidator")
        self.validators = [v for v in self.validators if type(v).__name__ not in looped]

    def to_internal_value(self, data: Any) -> str:
        """`data` itself, if it is a string without forbidden characters."""
        if not isinstance(data, str):
            self.fail("invalid")
        if "\0" in data or (not self.allow_controls and CONTROLS.search(data)):
            self.fail("control")
        if not data.isascii() and SURROGATES.search(data):
            self.fail("surrogate")
        return data


class StrictBooleanField(serializers.BooleanField):
    """A JSON `true` or `false`."""

    default_error_messages = {  # noqa: RUF012 — DRF's own idiom: merged along the MRO, never changed
        "invalid": "must be true or false.",
        "null": "must be true or false.",
        "required": "is required.",
    }

    def to_internal_value(self, data: Any) -> bool:
        """`data` itself, if it is a truth value."""
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class NoUnknownFields:
    """For serializers: a field that is not documented is refused, so that a misspelt one cannot pass for left out."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Raise DRF's `ValidationError` for the first unknown field, then validate the rest."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []  # type: ignore[attr-defined]  # mixin
        if unknown:
            raise serializers.ValidationError([f"{unknown[0][:64]}: is not a field of this call."])
        return super().run_validation(data)  # type: ignore[misc]  # mixin
