"""What goes over the wire: bodies however they are sent, connections that go on after errors, headers."""

import re
import socket

import pytest

from tests.server.registry import rest_of, send

LIMIT = 64 * 1024


@pytest.fixture
def authorization(server):
    return f"Bearer {server.bearer}"


def chunks(body: bytes, size: int = 10):
    """`body` in pieces, which http.client sends as chunks."""
    return (body[start : start + size] for start in range(0, len(body), size))


def raw(server, request: bytes) -> bytes:
    """Everything that the server sends back until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return rest_of(client)


def test_reads_the_body_of_a_delete(server, authorization):
    server.call("POST", "/_/token", {"name": "short-lived"}, Authorization=authorization)
    answer = server.call("DELETE", "/_/token", {"name": "short-lived"}, Authorization=authorization)
    assert answer.status == 200
    assert answer.json()["data"][0]["state"] == "revoked"


@pytest.mark.parametrize(("method", "path"), [("POST", "/auth/v1/key"), ("PUT", "/_/token"), ("DELETE", "/_/token")])
def test_reads_a_chunked_body(server, authorization, method, path):
    name = f"chunked-{method}"
    server.call("POST", "/_/token", {"name": name}, Authorization=authorization)
    body = f'{{"key": "{server.api_key}"}}' if path.endswith("key") else f'{{"name": "{name}"}}'
    answer = server.call(method, path, chunks(body.encode()), Authorization=authorization)
    assert answer.status == 200


@pytest.mark.parametrize("is_chunked", [False, True], ids=["whole", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (4 * LIMIT, 413)])
def test_reads_at_most_64_kib(server, size, status, is_chunked):
    body = f'{{"key": "{server.api_key}"}}'.encode().ljust(size)
    answer = server.call("POST", "/auth/v1/key", chunks(body, 8192) if is_chunked else body)
    assert answer.status == status


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/auth/v1/key", b"{", 400),
        ("POST", "/auth/v1/key", b'{"key": "unknown"}', 401),
        ("POST", "/_/token", b'{"name": "x"}', 401),
        ("DELETE", "/_/token", b'{"name": "x"}' * 1000, 401),
        ("POST", "/auth/v1/nowhere", b"x" * 10_000, 404),
        ("PATCH", "/auth/v1/key", b"x" * 10_000, 405),
        ("POST", "/token", b"x" * 10_000, 405),
        ("GET", "/nowhere", b"x" * 10_000, 404),
    ],
)
def test_goes_on_after_an_error(server, method, path, body, status):
    connection = server.connect()
    try:
        for _ in range(2):
            assert send(connection, method, path, body).status == status
        good = send(connection, "GET", "/auth/v1/ping")
        assert (good.status, good.body) == (200, b"pong")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/auth/v1/key", 413), ("GET", "/token", 413), ("POST", "/nowhere", 404)]
)
def test_says_that_it_hangs_up_on_a_body_that_it_does_not_read(server, method, path, status):
    connection = server.connect()
    try:
        kept, ended = (send(connection, method, path, b"x" * size) for size in (LIMIT, LIMIT + 1))
        assert (kept.headers["Connection"], ended.headers["Connection"]) == ("keep-alive", "close")
        assert ended.status == status
    finally:
        connection.close()


@pytest.mark.parametrize("rest", [b"nonsense\r\n", b"0\r\nContent-Length: 5\r\n\r\n"], ids=["chunk", "trailer"])
def test_answers_once_whatever_follows_in_a_body_that_is_too_large(server, rest):
    head = b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answers = raw(server, head + b"10001\r\n" + b"x" * (LIMIT + 1) + b"\r\n" + rest)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"413"]


def test_reads_the_next_request_behind_an_unread_body(server):
    body = b"GET /_/token HTTP/1.1\r\nHost: smuggled\r\n\r\n"
    head = f"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    ping = b"GET /auth/v1/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    received = raw(server, head + body + ping)
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", received)
    assert statuses[0] == b"404"
    assert b"401" not in statuses
    assert received.endswith(b"pong") or statuses == [b"404"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/auth/v1/ping", 200), ("/_/token", 401), ("/token", 400), ("/nowhere", 404), ("/admin/", 302)],
)
def test_answers_head_with_the_headers_of_get_and_no_body(server, path, status):
    get = server.call("GET", path)
    request = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    head, _, body = raw(server, request).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert get.status == status
    assert body == b""
    assert f"Content-Type: {get.headers['Content-Type']}".encode() in head


def test_mints_nothing_for_head(server):
    count = "from podcast_perf.models import PerformanceToken; print(PerformanceToken.objects.count())"
    before = server.manage("shell", "-v", "0", "-c", count)
    answer = server.call("HEAD", "/token", X_PUB_KEY=server.public_key)
    assert (answer.status, answer.body) == (200, b"")
    assert "Content-Length" not in answer.headers
    assert server.manage("shell", "-v", "0", "-c", count) == before


@pytest.mark.parametrize(
    "path", ["/", "/auth/v1/ping", "/_/token", "/token", "/nowhere", "/api/schema/", "/admin/login/"]
)
def test_says_nothing_of_its_version(server, path):
    headers = server.call("GET", path).headers
    assert headers.get_all("Server", []) in ([], ["gunicorn"])
    assert headers["X-Powered-By"] is None
    assert len(headers.get_all("Date")) == 1


def test_follows_a_request_by_its_id(server):
    answer = server.call("GET", "/auth/v1/ping", X_Request_ID="f2b1a6c5b8a3b159")
    assert answer.headers.get_all("X-Request-ID") == ["f2b1a6c5b8a3b159"]


def test_gives_an_id_to_a_request_without_one(server):
    first, second = (server.call("GET", "/auth/v1/ping").headers["X-Request-ID"] for _ in range(2))
    assert re.fullmatch(r"[0-9a-f]{16}", first)
    assert first != second


@pytest.mark.parametrize("path", ["/_/token", "/token", "/auth/v1/ping", "/auth/v1/nowhere"])
def test_sets_no_cookie_at_an_api(server, path):
    headers = server.call("GET", path).headers
    assert headers["Set-Cookie"] is None
    assert "Cookie" not in headers.get("Vary", "")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n{}",
        b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{}",
        b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /auth/v1/ping\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /_/token?name=%00%ff HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n",
        b"GET /token HTTP/1.1\r\nHost: x\r\nX-PUB-KEY: \xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
    ],
    ids=lambda request: ascii(request.decode("latin-1"))[-40:],
)
def test_fails_at_nothing_that_a_client_can_send(server, request_bytes):
    received = raw(server, request_bytes)
    assert not re.findall(rb"HTTP/1\.1 5\d\d", received)
    assert b"Traceback" not in received
    assert server.call("GET", "/auth/v1/ping").status == 200


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        ("/auth/v1/ping", "PATH_INFO: /_/token", 200),
        ("/_/token", "SCRIPT_NAME: /_", 401),
        ("/public/metrics", "SCRIPT_NAME: /public", 404),
        ("/auth/v1/ping", "SCRIPT_NAME: //elsewhere.example", 200),
        ("/token", "X_PUB_KEY: {key}", 400),
        ("/token", "X-PUB-KEY: wrong\r\nX-PUB-KEY: {key}", 400),
    ],
)
def test_lets_no_header_change_where_a_request_goes(server, path, header, status):
    lines = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header.format(key=server.public_key)}\r\n\r\n"
    )
    assert raw(server, lines.encode()).startswith(f"HTTP/1.1 {status} ".encode())


def test_prints_no_secret(server, authorization):
    body = {"key": server.api_key}
    pair = server.call("POST", "/auth/v1/key", body).json()
    renewal = {"pasta-token": pair["pasta-token"], "edi-token": pair["edi-token"]}
    for path, sent in (("/auth/v1/token/refresh", renewal), ("/auth/v1/token/refresh", {**renewal, "edi-token": "x"})):
        server.call("POST", path, sent)
    server.call("GET", f"/_/token?access_token={server.bearer}", Authorization=authorization + "x")
    server.call("GET", "/token", X_PUB_KEY=server.public_key)
    secrets = [*(thing["secret"] for thing in server.made if thing["secret"]), *renewal.values()]
    assert len(secrets) == 6
    assert [secret for secret in secrets if secret in server.log] == []


@pytest.mark.parametrize(
    ("request_of", "why"),
    [
        ("GET /_/token HTTP/1.1\r\nAuthorization Bearer {}\r\n\r\n", "Invalid HTTP Header"),
        ("GET /_/token HTTP/1.1\r\n{}: x\r\n\r\n", "Invalid HTTP header name"),
        ("GET /_/token?token={}\r\n\r\n", "Invalid HTTP request line"),
        ("GET /_/token?token= {} HTTP/1.1\r\n\r\n", "Invalid HTTP Version"),
        ('POST /auth/v1/key HTTP/1.1\r\nHost: x\r\n\r\n{{"key":"{}"}}\r\n\r\n', "Invalid HTTP request line"),
        (
            'POST /auth/v1/key HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{{"key":"{}"}}\r\n',
            "Invalid chunk size",
        ),
        ("POST /auth/v1/key HTTP/1.1\r\nTransfer-Encoding: {}\r\n\r\n", "Unsupported transfer coding"),
        ("POST /auth/v1/key HTTP/1.1\r\nExpect: {}\r\n\r\n", "Unable to comply with expectation"),
    ],
)
def test_logs_why_a_request_makes_no_sense_and_nothing_of_it(server, request_of, why):
    before, secret = len(server.log), "(hunter2'\"b'hunter2)"
    assert raw(server, request_of.format(secret).encode()).startswith(b"HTTP/1.1 ")
    logged = server.log[before:]
    assert f"Invalid request from ip=127.0.0.1: {why}\n" in logged
    assert "hunter2" not in logged
