"""`manage.py serve --server granian`: what is tested elsewhere of gunicorn, and what granian does in its own way."""

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.core.process import PYTHON, run
from tests.server import registry
from tests.server.conftest import new_database
from tests.server.registry import PATIENCE_SECONDS, Registry, free_port, rest_of, until
from tests.server.test_documented_lines import (  # noqa: F401 — these run here again
    test_answers_the_lines_that_init_prints,
    test_exchanges_an_api_key,
    test_fetches_a_podcast_performance_token,
    test_fetches_none_with_the_key_of_the_document,
    test_manages_named_tokens,
    test_refuses_the_example_with_its_slips,
    test_renews_tokens_with_the_mended_example,
)
from tests.server.test_wire import (  # noqa: F401 — so do these
    authorization,
    test_fails_at_nothing_that_a_client_can_send,
    test_goes_on_after_an_error,
    test_mints_nothing_for_head,
    test_prints_no_secret,
    test_reads_a_chunked_body,
    test_reads_at_most_64_kib,
    test_reads_the_body_of_a_delete,
    test_sets_no_cookie_at_an_api,
)

pytestmark = pytest.mark.skipif(
    find_spec("granian") is None and not os.environ.get("CI"), reason="requirements-granian.txt is not installed."
)
# So many connections reach both workers: the kernel deals them out by their ports.
MANY = 40
LOCK = """
from edi_auth import services
from edi_auth.models import Profile
from tokens.core.audit import SYSTEM
services.set_locked(Profile.objects.get(), True, actor=SYSTEM)
"""
COUNT = """
from tokens.core.models import DailyCount
print(sum(row.count for row in DailyCount.objects.filter(name="edi_auth:refresh")))
"""


@pytest.fixture(scope="module", autouse=True)
def stalled() -> None:
    """Nobody: granian gives a thread to a client that stops in the middle of its body."""


@contextmanager
def new_shop(folder: Path, purpose: str) -> Iterator[Registry]:
    """A registry with a database of its own."""
    with new_database(folder, purpose) as url:
        made = registry.new(folder, url)
        made.environment |= {"EDI_REVOCATION_SECONDS": "1", "TRUSTED_PROXIES": "127.0.0.2"}
        yield replace(made, arguments=("manage.py", "serve", "--server", "granian"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One for all tests of this file."""
    with new_shop(tmp_path_factory.mktemp("granian"), "granian") as shop:
        yield shop


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One whose counts no other server adds to."""
    with new_shop(tmp_path_factory.mktemp("own"), "granian_own") as shop:
        yield shop


@pytest.fixture(scope="module")
def server(shop: Registry) -> Iterator[Registry]:
    """It, served."""
    with shop.serving():
        yield shop


def raw(server, request, *, source="127.0.0.1"):
    """Everything that the server sends to `source` until it closes the connection."""
    address = ("127.0.0.1", server.port)
    with socket.create_connection(address, timeout=20, source_address=(source, 0)) as client:
        client.sendall(request)
        return rest_of(client)


def get(server, path, *lines, source="127.0.0.1", method="GET"):
    """The head and the body of the answer to a request with these lines of headers."""
    request = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""])
    head, _, body = raw(server, request.encode(), source=source).decode().partition("\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    ("path", "status"), [("/auth/v1/ping", 200), ("/_/token", 401), ("/token", 400), ("/nowhere", 404)]
)
def test_answers_head_with_the_length_of_get_and_no_body(server, path, status):
    (head, body), (_, shown) = get(server, path, method="HEAD"), get(server, path)
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert f"content-length: {len(shown.encode())}" in head.lower()
    assert body == ""


@pytest.mark.parametrize(
    ("path", "line", "status"),
    [
        ("/auth/v1/ping", "PATH_INFO: /_/token", 200),
        ("/_/token", "SCRIPT_NAME: /_", 401),
        ("/public/metrics", "SCRIPT-NAME: /public", 404),
        ("/metrics", "X-Forwarded-For: 127.0.0.1", 404),
        ("/token", "X-PUB-KEY: wrong\r\nX-PUB-KEY: {key}", 400),
    ],
)
def test_lets_no_header_change_where_a_request_goes_or_comes_from(server, path, line, status):
    head, _ = get(server, path, line.format(key=server.public_key))
    assert head.startswith(f"HTTP/1.1 {status} ")


def test_takes_address_and_scheme_from_a_trusted_proxy_alone(shop):
    served = replace(shop, port=free_port(), environment={**shop.environment, "HTTPS_ONLY": "true"})
    lines = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
    with served.serving():
        through, _ = get(served, "/admin/login/", *lines, source="127.0.0.2")
        past, _ = get(served, "/admin/login/", *lines)
        claimed, _ = get(served, "https://localhost/admin/login/")
        get(served, "/auth/v1/key?from=proxy", *lines, source="127.0.0.2")
        get(served, "/auth/v1/key?from=other", *lines)
    assert [head.split()[1] for head in (through, past, claimed)] == ["200", "301", "301"]
    addresses = re.findall(r'"path":"/auth/v1/key".*"address":"([^"]+)"', served.log)
    assert addresses[-2:] == ["192.0.2.7", "127.0.0.1"]


def test_makes_no_header_of_a_variable_of_the_process(shop):
    served = replace(shop, port=free_port(), environment={**shop.environment, "HTTP_X_REQUEST_ID": "f2b1a6c5b8a3b159"})
    with served.serving():
        assert served.call("GET", "/auth/v1/ping").headers["X-Request-ID"] != "f2b1a6c5b8a3b159"


def test_counts_what_all_workers_answer(server):
    before = server.pings()
    for _ in range(MANY):
        assert server.call("GET", "/auth/v1/ping").status == 200
    assert server.pings() - before == MANY


def test_goes_on_without_a_worker_that_was_killed(server):
    until(lambda: len(psutil.Process(server.pid).children()) == 2)
    victim = psutil.Process(server.pid).children()[0]
    before = server.pings()
    victim.kill()
    until(lambda: len(set(psutil.Process(server.pid).children()) - {victim}) == 2)
    until(lambda: {server.call("GET", "/auth/v1/ping").status for _ in range(MANY)} == {200})
    assert server.pings() >= before + MANY


def test_refuses_a_port_that_is_taken(server):
    done = run(PYTHON, *server.arguments, "--bind", f"127.0.0.1:{server.port}", environment=server.environment)
    assert done.returncode == 1
    assert done.stderr == f"Cannot listen at 127.0.0.1:{server.port}: Address already in use\n"


def test_ends_in_order(own, tmp_path):
    served = replace(own, environment={**own.environment, "TMPDIR": str(tmp_path)})
    body = json.dumps({"key": own.api_key}).encode()
    half = b"POST /auth/v1/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:9]
    with served.serving():
        pair = served.call("POST", "/auth/v1/key", {"key": own.api_key}).json()
        renewal = {"pasta-token": pair["pasta-token"], "edi-token": pair["edi-token"]}
        assert len(list(tmp_path.glob("registry-metrics-*"))) == 1
        with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) as client:
            client.sendall(half)
            time.sleep(0.3)
            assert served.call("POST", "/auth/v1/token/refresh", renewal).status == 200
            psutil.Process(served.pid).terminate()
            time.sleep(0.3)
            client.sendall(body[9:])
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert psutil.Process(served.pid).wait(PATIENCE_SECONDS) in (0, None)
    assert list(tmp_path.glob("registry-metrics-*")) == []
    assert own.manage("shell", "-v", "0", "-c", COUNT) == "1\n"


def test_tells_every_worker_of_a_lock(server):
    pair = server.call("POST", "/auth/v1/key", {"key": server.api_key}).json()
    renewal = {"pasta-token": pair["pasta-token"], "edi-token": pair["edi-token"]}

    def refresh():
        return server.call("POST", "/auth/v1/token/refresh", renewal).status

    assert {refresh() for _ in range(MANY)} == {200}
    server.manage("shell", "-v", "0", "-c", LOCK)
    until(lambda: {refresh() for _ in range(MANY)} == {403})
