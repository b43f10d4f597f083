"""How `/_/token` speaks: `{"data": [...]}`, and `{"error": "..."}` for what went wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.response import Response
from rest_framework.views import APIView

from tokens.core.http import Problem
from tokens.core.http import exception_handler as make_handler
from tokens.models import NamedToken

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime | None) -> int | None:
    """`moment` as integer milliseconds since the epoch."""
    return None if moment is None else (moment - EPOCH) // timedelta(milliseconds=1)


def row(token: NamedToken) -> dict[str, Any]:
    """What a listing shows of a token: everything but its value."""
    return {
        "name": token.name,
        "expiration_date": milliseconds(token.shown_expiry()),
        "active": token.is_active,
        "write": token.can_write,
        "state": str(token.state),
        "created_at": milliseconds(token.created_at),
        "updated_at": milliseconds(token.updated_at),
        "last_used_at": milliseconds(token.last_used_at),
    }


def rotated_row(token: NamedToken) -> dict[str, Any]:
    """What a rotation shows of a token besides: until when its previous value is good, and when it was last used."""
    return row(token) | {
        "rotated_at": milliseconds(token.rotated_at),
        "previous_valid_until": milliseconds(token.previous_valid_until),
        "previous_last_used_at": milliseconds(token.previous_last_used_at),
    }


def data(*rows: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The envelope of everything that went well."""
    return Response({"data": rows}, status=status, headers=headers)


def error(problem: Problem, view: APIView) -> dict[str, Any]:
    """The body of everything that went wrong."""
    return {"error": problem.message}


exception_handler = make_handler(error)
