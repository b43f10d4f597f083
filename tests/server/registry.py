"""A real server: `manage.py init --demo` in a folder of its own, then `manage.py serve`."""

import http.client
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from tests.core.process import BARE, PYTHON, run, start

START_SECONDS = 90
# What a machine that is busy with other tests may take.
PATIENCE_SECONDS = 15


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(bind: str) -> bool:
    """Whether somebody listens at `127.0.0.1:<port>` or `unix:<path>`."""
    host, _, rest = bind.partition(":")
    family, address = (socket.AF_UNIX, rest) if host == "unix" else (socket.AF_INET, (host, int(rest)))
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


@dataclass(frozen=True)
class Answer:
    """What the server sent back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Registry:
    """A server with its folder, its port and what `init` made."""

    folder: Path
    port: int
    environment: dict[str, str]
    made: list[dict[str, str]]
    arguments: tuple[str, ...] = ("manage.py", "serve")
    pid: int = 0

    @property
    def place(self) -> str:
        """Where it listens, as gunicorn is told."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where it listens, as clients are told."""
        return f"http://{self.place}"

    @property
    def log(self) -> str:
        """Everything that the server has printed."""
        return (self.folder / "log").read_text()

    def secret(self, label: str) -> str:
        """The secret that `init` made under a label that begins so."""
        return next(thing["secret"] for thing in self.made if thing["label"].startswith(label))

    @property
    def bearer(self) -> str:
        """The value of the first named token."""
        return self.secret("Named token")

    @property
    def public_key(self) -> str:
        """The X-PUB-KEY."""
        return self.secret("Podcast")

    @property
    def api_key(self) -> str:
        """The API key of the demo profile."""
        return self.secret("API key")

    def manage(self, *arguments: str) -> str:
        """What `manage.py` prints; it must succeed."""
        done = run(PYTHON, "manage.py", *arguments, environment=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own. A body that is no bytes or iterator is sent as JSON."""
        connection = self.connect()
        try:
            return send(connection, method, path, body, **headers)
        finally:
            connection.close()

    def pings(self) -> int:
        """How many pings were answered, as `/metrics` says of all workers."""
        text = self.call("GET", "/metrics").body.decode()
        lines = re.findall(r'registry_requests_total\{[^}]*route="/auth/v1/ping"[^}]*\} (\S+)', text)
        return round(sum(map(float, lines)))

    def sh(self, line: str) -> Answer:
        """Run a curl line in a shell, and tell the status and the body that it printed."""
        if shutil.which("curl") is None and not os.environ.get("CI"):
            pytest.skip("curl is not installed.")
        (self.folder / ".curlrc").write_text('silent\nshow-error\nmax-time = 20\nwrite-out = "\\n%{http_code}"\n')
        done = run("/bin/sh", "-c", line, environment={**BARE, "CURL_HOME": str(self.folder)})
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        return Answer(int(status), http.client.HTTPMessage(), body.encode())

    def start(self, *, bind: str = "", workers: int = 2) -> Popen[bytes]:
        """Start to serve, at its port unless `bind` names another place; the parent of the workers."""
        command = (PYTHON, *self.arguments, "--bind", bind or self.place, "--workers", str(workers))
        return start(*command, environment=self.environment, log=self.folder / "log")

    def wait(self, process: Popen[bytes], *, bind: str = "") -> None:
        """Wait until somebody listens, and no longer than `process` lives."""
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if listens(bind or self.place):
                return
            time.sleep(0.05)
        raise AssertionError(f"The server did not start:\n{self.log}")

    @contextmanager
    def serving(self, *, bind: str = "", workers: int = 2) -> Iterator["Registry"]:
        """Serve until the end of the context; `pid` is that of the parent of the workers."""
        process = self.start(bind=bind, workers=workers)
        self.pid = process.pid
        try:
            self.wait(process, bind=bind)
            yield self
        finally:
            process.terminate()
            process.wait(timeout=60)


def until(condition: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `condition()` holds, no longer than so many seconds."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "It never did."
        time.sleep(0.05)


def rest_of(client: socket.socket) -> bytes:
    """All that a server still sends to `client` before it hangs up."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def send(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One request on `connection`."""
    is_raw = body is None or isinstance(body, bytes) or hasattr(body, "__next__")
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    # A server may answer and hang up before it has read too large a body.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.request(method, path, body if is_raw else json.dumps(body).encode(), names)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def new(folder: Path, database_url: str = "") -> Registry:
    """A registry in `folder` with nothing but what `init --demo` makes; its database, too, unless another is named."""
    port = free_port()
    environment = {
        **BARE,
        "TMPDIR": str(folder),  # a server that is killed cannot remove what it has made
        "ENV_FILE": str(folder / ".env"),
        "DATABASE_URL": database_url or f"sqlite:///{folder}/registry.sqlite3",
        "EDI_JWT_PRIVATE_KEY_PATH": str(folder / "keys" / "edi.pem"),
        "PASTA_PRIVATE_KEY_PATH": str(folder / "keys" / "pasta.pem"),
        "PORT": str(port),
        "HTTPS_ONLY": "false",
        "MAX_FAILURES": "0",
        "MAX_UNAUTHENTICATED": "0",
    }
    registry = Registry(folder, port, environment, [])
    registry.made = json.loads(registry.manage("init", "--demo", "--json"))["made"]
    return registry
