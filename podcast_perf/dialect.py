"""How `GET /token` speaks: `{"token": "..."}`, and `{"error": "..."}` for what went wrong."""

from typing import Any

from rest_framework.response import Response
from rest_framework.views import APIView

from podcast_perf.models import PerformanceToken
from tokens.core.http import Problem
from tokens.core.http import exception_handler as make_handler
from tokens.core.lifecycle import Minted


def token(minted: Minted[PerformanceToken]) -> Response:
    """The answer that carries the token."""
    return Response({"token": minted.secret})


def error(problem: Problem, view: APIView) -> dict[str, Any]:
    """The body of everything that went wrong."""
    return {"error": problem.message} | ({"detail": problem.detail} if problem.detail else {})


exception_handler = make_handler(error)
