"""Moments that the calendar still has."""

from datetime import UTC, datetime, timedelta

# The last millisecond. With microseconds its seconds, as a float, would be those of the year 10000.
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


def later(now: datetime, length: timedelta) -> datetime:
    """`now` and `length`, or the last millisecond of the year 9999 where that lies beyond it."""
    return LAST if LAST - now < length else now + length
