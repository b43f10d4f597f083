"""What `/_/token` takes in."""

import re
from datetime import datetime, timedelta
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tokens.core.fields import NoUnknownFields, StrictBooleanField, StrictCharField, whole
from tokens.core.lifecycle import DEFAULT_GRACE, MAX_GRACE
from tokens.dialect import EPOCH

SECONDS_BY_MISTAKE = 10**11
END_OF_TIME = 253_402_300_799_999  # the last millisecond of the year 9999


@extend_schema_field({"type": "integer", "minimum": SECONDS_BY_MISTAKE, "maximum": END_OF_TIME})
class MillisecondsField(serializers.IntegerField):
    """A moment as integer milliseconds since the epoch."""

    default_error_messages = {  # noqa: RUF012 — DRF's own idiom: merged along the MRO, never changed
        "invalid": "must be an integer number of milliseconds since 1970-01-01T00:00:00Z, or null.",
        "seconds": "looks like seconds; it must be milliseconds since 1970-01-01T00:00:00Z.",
        "range": "lies after the year 9999.",
    }

    def to_internal_value(self, data: Any) -> datetime:  # type: ignore[override]  # an integer on the wire alone
        """The moment, with its time zone."""
        number = whole(data)
        if number is None:
            self.fail("invalid")
        if number < SECONDS_BY_MISTAKE:
            self.fail("seconds")
        if number > END_OF_TIME:
            self.fail("range")
        return EPOCH + timedelta(milliseconds=number)


class NameRequest(NoUnknownFields, serializers.Serializer[Any]):
    """The body that names a token."""

    name = StrictCharField(max_length=255, help_text="The name of the token.")


class TokenRequest(NameRequest):
    """The body that makes or changes a token."""

    expiration_date = MillisecondsField(
        required=False,
        allow_null=True,
        source="expires_at",
        help_text="The expiration date in milliseconds; absent or null: the token does not expire.",
    )
    active = StrictBooleanField(required=False, source="is_active", help_text="If the token is active.")
    write = StrictBooleanField(required=False, source="can_write", help_text="If the token has write permissions.")


@extend_schema_field({"type": "integer", "minimum": 0, "maximum": MAX_GRACE // timedelta(milliseconds=1)})
class GraceField(serializers.IntegerField):
    """A length of time as integer milliseconds."""

    default_error_messages = {  # noqa: RUF012 — DRF's own idiom: merged along the MRO, never changed
        "invalid": "must be an integer number of milliseconds, at most 30 days.",
        "null": "must be an integer number of milliseconds, at most 30 days.",
    }

    def to_internal_value(self, data: Any) -> timedelta:  # type: ignore[override]  # an integer on the wire alone
        """The length of time."""
        number = whole(data)
        if number is None or not 0 <= number <= MAX_GRACE // timedelta(milliseconds=1):
            self.fail("invalid")
        return timedelta(milliseconds=number)


class RotateRequest(NameRequest):
    """The body that rotates a token."""

    grace = GraceField(
        default=lambda: DEFAULT_GRACE,  # type: ignore[arg-type, return-value]  # an integer on the wire alone
        help_text="How long the old value stays good, in milliseconds, at most 30 days; 0 ends it at once.",
    )


class QueryIntegerField(serializers.IntegerField):
    """A whole number in a query string, in plain digits."""

    default_error_messages = {"invalid": "must be a whole number from {low} to {high}."}  # noqa: RUF012 — DRF's idiom

    def __init__(self, *, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low, self.high = low, high

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        digits = str(data)
        if not re.fullmatch(r"[0-9]{1,19}", digits) or not self.low <= int(digits) <= self.high:
            self.fail("invalid", low=self.low, high=self.high)
        return int(digits)


class PageQuery(serializers.Serializer[Any]):
    """The query string of a listing."""

    limit = QueryIntegerField(required=False, low=1, high=1000, help_text="At most this many tokens.")
    cursor = QueryIntegerField(
        required=False, low=0, high=2**63 - 1, help_text="Where the next page begins; its `Link` has it."
    )
    after = StrictCharField(required=False, max_length=255, help_text="Begin after the token of this name.")


class ValueQuery(serializers.Serializer[Any]):
    """The query string that names a token."""

    name = StrictCharField(max_length=255, help_text="The name of the token.")
