"""The server behind TLS of gunicorn's own and on a Unix socket."""

import http.client
import re
import socket
import ssl
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.server.registry import rest_of, send

PING = b"GET /auth/v1/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def certificate(tmp_path):
    """A file with a certificate for `localhost`, signed by itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_serves_over_tls(made, certificate):
    environment = made.environment | {"GUNICORN_CMD_ARGS": f"--certfile {certificate} --keyfile {certificate}"}
    with replace(made, environment=environment).serving(workers=1):
        trust = ssl.create_default_context(cafile=str(certificate))
        with closing(http.client.HTTPSConnection("localhost", made.port, timeout=20, context=trust)) as connection:
            for _ in range(2):
                assert send(connection, "POST", "/auth/v1/key", {"key": made.api_key}).status == 200


def test_waits_over_tls_for_no_client_that_does_not_read(made, certificate):
    """More of them than there are threads: some send half a request, some have more to read than the kernel keeps."""
    large = b"/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
    ask = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % large
    environment = made.environment | {"GUNICORN_CMD_ARGS": f"--certfile {certificate} --keyfile {certificate}"}
    with replace(made, environment=environment).serving(workers=1), ExitStack() as stack:
        trust = ssl.create_default_context(cafile=str(certificate))
        for sent in [b"G"] * 2 + [ask * 20] * 4:
            plain = socket.create_connection(("localhost", made.port), timeout=20)
            client = stack.enter_context(closing(trust.wrap_socket(plain, server_hostname="localhost")))
            client.sendall(PING.replace(b"Connection: close\r\n", b""))
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            client.sendall(sent)
        with closing(http.client.HTTPSConnection("localhost", made.port, timeout=40, context=trust)) as connection:
            assert send(connection, "GET", "/auth/v1/ping").status == 200


def connected(path):
    """A client of the Unix socket there."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(str(path))
    return client


def test_serves_on_a_unix_socket_and_waits_for_nobody_there(made, tmp_path):
    """More clients than there are threads say nothing, or half a body."""
    path = tmp_path / "socket"
    half = b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    with made.serving(bind=f"unix:{path}", workers=1):
        silent = [connected(path) for _ in range(5)]
        slow = connected(path)
        slow.sendall(half)
        with closing(connected(path)) as client:
            client.sendall(PING)
            assert b"pong" in rest_of(client)
        assert slow.recv(65536).startswith(b"HTTP/1.1 408 ")
        for client in [*silent, slow]:
            client.close()


def test_answers_on_a_unix_socket_what_comes_in_pieces(made, tmp_path):
    path = tmp_path / "socket"
    body = b'{"key": "%s"}' % made.api_key.encode()
    head = b"POST /auth/v1/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    with made.serving(bind=f"unix:{path}", workers=1), closing(connected(path)) as client:
        for piece in (head[:9], head[9:], body):
            client.sendall(piece)
            time.sleep(0.05)
        assert b"edi-token" in rest_of(client)


def test_tells_clients_of_a_unix_socket_apart_when_its_proxy_is_trusted(made, tmp_path):
    """By what the proxy says of their addresses; and whether they came by HTTPS."""
    path = tmp_path / "socket"
    environment = made.environment | {"TRUSTED_PROXIES": "unix", "MAX_FAILURES": "3", "HTTPS_ONLY": "true"}
    ask = PING[:-2].replace(b"auth/v1/ping", b"%s") + b"X-Pub-Key: guess\r\n"
    ask += b"X-Forwarded-For: %s\r\nX-Forwarded-Proto: %s\r\n\r\n"

    def status(asked, address, scheme):
        with closing(connected(path)) as client:
            client.sendall(ask % (asked, address, scheme))
            return int(rest_of(client).split()[1])

    with replace(made, environment=environment).serving(bind=f"unix:{path}", workers=1):
        guesses = [status(b"token", b"192.0.2.1", b"https") for _ in range(5)]
        other = status(b"token", b"192.0.2.2", b"https")
        pages = [status(b"admin/login/", b"192.0.2.2", scheme) for scheme in (b"https", b"http")]
    assert (guesses, other, pages) == ([400, 400, 400, 429, 429], 400, [200, 301])


def test_serves_on_a_unix_socket_while_clients_there_do_not_read(made, tmp_path):
    """More of them than there are threads, each with more to read than the kernel keeps; it is all there later."""
    path = tmp_path / "socket"
    large = b"/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
    with made.serving(bind=f"unix:{path}", workers=1), ExitStack() as stack:
        clients = [stack.enter_context(closing(connected(path))) for _ in range(6)]
        for client in clients:
            client.sendall(PING.replace(b"/auth/v1/ping", large))
        begun = time.monotonic()
        with closing(connected(path)) as client:
            client.sendall(PING)
            assert b"pong" in rest_of(client)
        assert time.monotonic() - begun < 5
        answer = rest_of(clients[0])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert len(body) == int(re.search(rb"Content-Length: (\d+)", head)[1]) > 1_000_000
