"""How many queries the request of each case makes: reads what to send as JSON from standard input, prints JSON."""

import json
import sys

import django

django.setup()

from django.db import connection  # noqa: E402 — after the set-up
from django.test.utils import CaptureQueriesContext  # noqa: E402 — after the set-up

from tests.core.wsgi import request  # noqa: E402 — after the set-up


def queries(method: str, path: str, body: str, headers: dict[str, str]) -> int:
    """The number of queries of the second such request: the first may do what is done once."""
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    request(method, path, body.encode(), **environ)
    with CaptureQueriesContext(connection) as captured:
        answer = request(method, path, body.encode(), **environ)
    if answer.status != 200:
        raise RuntimeError(f"{method} {path} was answered with {answer.status}: {answer.body!r}")
    return len(captured)


if __name__ == "__main__":
    json.dump({name: queries(**target) for name, target in json.load(sys.stdin).items()}, sys.stdout)
