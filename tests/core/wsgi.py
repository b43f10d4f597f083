"""Calls the WSGI application as a server does, which the test client does not."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from config.wsgi import application


@dataclass(frozen=True)
class Answer:
    """What the application gave back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def request(method: str, path: str, body: bytes | io.RawIOBase = b"", **environ: Any) -> Answer:
    """One request (PEP 3333) with the length of its body; `environ` adds to it, None takes a name away."""
    path, _, query = path.partition("?")
    stream = io.BytesIO(body) if isinstance(body, bytes) else body
    everything = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "7000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)) if isinstance(body, bytes) else None,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": stream,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **environ,
    }
    with open_connections():
        return _answer({name: value for name, value in everything.items() if value is not None})


@contextmanager
def open_connections() -> Iterator[None]:
    """Keep the transaction of a test open behind its requests, as Django's test client does."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


def _answer(environ: dict[str, Any]) -> Answer:
    started: list[tuple[str, list[tuple[str, str]]]] = []
    response = application(environ, lambda status, headers, exc_info=None: started.append((status, headers)))
    try:
        content = b"".join(response)
    finally:
        close = getattr(response, "close", None)
        if close:
            close()
    ((status, headers),) = started
    return Answer(int(status.split()[0]), headers, content)


def chunked(method: str, path: str, body: bytes | io.RawIOBase, **environ: Any) -> Answer:
    """One request with a chunked body, which gunicorn decodes and whose end it knows."""
    stream = io.BytesIO(body) if isinstance(body, bytes) else body
    chunks = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": stream}
    return request(method, path, **{**chunks, "CONTENT_LENGTH": None, **environ})
