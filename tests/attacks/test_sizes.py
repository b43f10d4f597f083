"""Oversized everything: bodies, tokens, headers, URLs, lists of parameters."""

import pytest

from tests.attacks.doors import DOORS
from tests.edi_auth.forge import KEY, REFRESH, claims, edi, pasta
from tests.factories import NamedTokenFactory
from tests.tokens.tools import encode_jws
from tokens.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SORT = "oversized bodies, tokens, headers, URLs"
LIMIT = 64 * 1024
PATHS = ["/_/token", "/_/token/rotate", KEY, REFRESH, "/auth/v1/token/EDI-0", "/introspect", "/revoke"]
SHAPES = {
    "letters": lambda size: "x" * size,
    "dots": lambda size: "." * size,
    "dashes": lambda size: "-" * size,
    "a payload": lambda size: f"e30.{'A' * size}.e30",
    "a header": lambda size: f"{'A' * size}.e30.e30",
    "a signature": lambda size: f"eyJhbGciOiJFUzI1NiJ9.e30.{'A' * size}",
    "a PASTA text": lambda size: f"{'A' * size}-AAAA",
    "a PASTA signature": lambda size: f"{'A' * 40}-{'A' * size}",
    "padding": lambda size: "=" * size,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT, 40 * LIMIT])
def test_reads_no_body_that_is_too_large(api, bearer, tried, path, size):
    tried()
    assert api.call("POST", path, b" " * (size - 2) + b"{}", bearer=bearer).status_code == 413
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("length", ["1" * 25, "99999999", "-1", "1e9", "0x10", "", " ", "a", "\u0661"])
def test_believes_no_length_that_makes_no_sense(api, bearer, tried, path, length):
    tried()
    response = api.generic("POST", path, b"{", HTTP_AUTHORIZATION=f"Bearer {bearer}", CONTENT_LENGTH=length)
    assert response.status_code in {400, 408, 413}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("size", [1_000, 60_000])
def test_refuses_an_oversized_credential(refuses, door, size):
    for name, shape in SHAPES.items():
        assert refuses(door, shape(size)), name


@pytest.mark.parametrize("door", ["list", "fetch", "ask", "lock"])
def test_refuses_a_header_larger_than_any_body(refuses, door):
    for shape in SHAPES.values():
        assert refuses(door, shape(10 * LIMIT))


def test_refuses_a_genuine_named_token_that_is_too_long(refuses, settings):
    token = encode_jws(
        {"alg": "HS256"}, NamedTokenFactory().claims() | {"x": "x" * LIMIT}, secret=settings.TOKENS_SECRET_KEY
    )
    assert refuses("list", token)


@pytest.mark.parametrize("size", [8192, 40_000])
def test_refuses_a_genuine_pasta_token_that_is_too_long(refuses, size):
    assert refuses("refresh-pasta", pasta("u" * size + "*s*1"))


def test_answers_a_genuine_token_of_very_many_claims(api, bearer, tried):
    tried()
    token = edi(claims(**{f"claim-{number}": number for number in range(2000)}))
    response = api.call("POST", "/introspect", {"token": token}, bearer=bearer)
    assert response.status_code == 200
    assert len(response.content) < 1024


@pytest.mark.parametrize("name", ["x" * 256, "🦎" * 256, "x" * 60_000, "é" * 256])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_stores_no_name_that_is_too_long(api, bearer, tried, method, name):
    tried()
    assert api.call(method, "/_/token", {"name": name}, bearer=bearer).status_code == 400
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("query", ["name=" + "x" * 60_000, "name=x&" * 5_000, "&" * 60_000, "=" * 60_000, "%" * 60_000])
def test_survives_a_long_query(api, bearer, tried, query):
    tried(2)
    assert api.call("GET", f"/_/token/value?{query}", bearer=bearer).status_code in {400, 404}
    assert api.call("GET", f"/_/token?limit={query}", bearer=bearer).status_code == 400


@pytest.mark.parametrize("path", ["/_/", "/token/", "/auth/v1/", "/auth/v1/token/"])
def test_finds_nothing_at_a_long_path(api, bearer, tried, path):
    tried(3)
    for rest in ("x" * 60_000, "/" * 60_000, "../" * 20_000):
        assert api.call("GET", path + rest, bearer=bearer).status_code in {404, 405}


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
@pytest.mark.parametrize(
    "form", [b"a=1&" * 10_000, b"&" * 60_000, b"=" * 60_000, b"%" * 60_000, b"token=" + b"%41" * 20_000 + b"&token=a"]
)
def test_refuses_a_form_of_very_many_parts(api, bearer, tried, path, form):
    tried()
    assert api.call("POST", path, form, bearer=bearer).status_code == 400


@pytest.mark.parametrize("forwarded", ["192.0.2.1," * 5_000, "," * 60_000, "x" * 60_000, "::" * 20_000])
def test_survives_a_long_list_of_proxies(api, tried, settings, forwarded):
    settings.TRUSTED_PROXIES = ["127.0.0.1", "192.0.2.0/24"]
    tried()
    assert api.call("POST", KEY, {"key": "x"}, headers={"X-Forwarded-For": forwarded}).status_code == 401


@pytest.mark.parametrize(
    "cookie", ["a=b; " * 5_000, "edi-token=" + "x" * 60_000, ";" * 60_000, "edi-token", "=;=;", "\xff=\xff"]
)
def test_refuses_a_jar_of_cookies(api, tried, cookie):
    tried()
    assert api.call("DELETE", "/auth/v1/token/EDI-0", headers={"Cookie": cookie}).status_code == 401


@pytest.mark.parametrize("accept", ["text/xml," * 5_000, "a/b;" * 5_000, "/" * 60_000, "x" * 60_000, ";q=" * 9_000])
def test_survives_a_long_accept(api, tried, accept):
    tried()
    assert api.call("POST", KEY, {"key": "x"}, headers={"Accept": accept}).status_code == 401
