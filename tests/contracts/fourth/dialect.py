"""How `/badge` speaks."""

from typing import Any

from rest_framework.views import APIView

from tokens.core.http import Problem
from tokens.core.http import exception_handler as make_handler


def error(problem: Problem, view: APIView) -> dict[str, Any]:
    return {"complaint": problem.message}


exception_handler = make_handler(error)
