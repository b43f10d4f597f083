"""How the OAuth endpoints speak: `{"error": "...", "error_description": "..."}` (RFC 6749, section 5.2)."""

from typing import Any

from rest_framework.response import Response
from rest_framework.views import APIView

from tokens.core.http import Problem
from tokens.core.http import exception_handler as make_handler
from tokens.core.kinds import Description

ERRORS = {
    401: "invalid_token",
    403: "insufficient_scope",
    429: "slow_down",
    500: "server_error",
    503: "temporarily_unavailable",
}


def introspection(found: Description | None) -> Response:
    """The answer of RFC 7662, section 2.2: what an active credential says, or that it is none."""
    if found is None:
        return Response({"active": False})
    return Response({"active": True, "kind": found.kind, "token_type": found.token_type, **found.claims})


def error(problem: Problem, view: APIView) -> dict[str, Any]:
    """The body of everything that went wrong."""
    return {"error": ERRORS.get(problem.status, "invalid_request"), "error_description": problem.message}


exception_handler = make_handler(error)
