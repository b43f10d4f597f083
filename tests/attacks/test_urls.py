"""Credentials in URLs (RFC 6750, section 2.3; RFC 9700, section 4.3.2), which end in logs: not accepted."""

import pytest

from tests.edi_auth.forge import KEY, REFRESH, edi, pasta
from tests.factories import ApiKeyFactory, NamedTokenFactory, PublisherFactory, secret_of, value_of
from tokens.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SORT = "credentials in URLs, wrong headers, wrong cookies"
NAMES = ["access_token", "token", "bearer", "authorization", "Authorization", "key", "api_key", "value", "jwt"]
PLACES = ["?{name}={raw}", "?name=example&{name}={raw}", "?{name}=Bearer%20{raw}", ";{name}={raw}", "?{raw}", "/{raw}"]


@pytest.fixture
def value(db):
    """A genuine value of a write token."""
    return value_of(NamedTokenFactory(name="example"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_takes_no_bearer_from_a_url(api, value, tried, method, name, place):
    tried()
    path = "/_/token" + place.format(name=name, raw=value)
    response = api.call(method, path, {"name": "example"} if method != "GET" else None)
    assert response.status_code in {401, 404}
    assert value.encode() not in response.content + str(response.headers).encode()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("name", NAMES)
def test_takes_no_bearer_from_a_url_of_a_standard(api, value, tried, name):
    tried()
    assert api.call("POST", f"/introspect?{name}={value}", {"token": value}).status_code == 401


@pytest.mark.parametrize(
    "header", ["X-Authorization", "Proxy-Authorization", "X-Auth-Token", "X-Api-Key", "Cookie", "X-PUB-KEY"]
)
@pytest.mark.parametrize("shape", ["{}", "Bearer {}", "token={}", "Authorization=Bearer {}"])
def test_takes_no_bearer_from_another_header(api, value, tried, header, shape):
    tried()
    assert api.call("GET", "/_/token", headers={header: shape.format(value)}).status_code == 401


@pytest.mark.parametrize("body", [{"access_token": "{}"}, {"token": "{}"}, {"name": "new", "token": "{}"}])
def test_takes_no_bearer_from_a_body(api, value, tried, body):
    tried()
    filled = {name: text.format(value) for name, text in body.items()}
    assert api.call("POST", "/_/token", filled).status_code == 401


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
@pytest.mark.parametrize("body", [None, b"", {}, b"token_type_hint=named_token"])
def test_takes_no_credential_to_check_from_a_url(api, bearer, value, tried, path, body):
    tried()
    assert api.call("POST", f"{path}?token={value}", body, bearer=bearer).status_code == 400
    assert api.call("GET", "/_/token", bearer=value).status_code == 200


@pytest.mark.parametrize("name", ["X-PUB-KEY", "x_pub_key", "pub_key", "key", "publicKey", "HTTP_X_PUB_KEY"])
def test_takes_no_publishers_key_from_a_url(api, tried, name):
    key = secret_of(PublisherFactory())
    tried(2)
    assert api.call("GET", f"/token?{name}={key}").status_code == 400
    assert api.call("GET", "/token", headers={"Authorization": f"Bearer {key}"}).status_code == 400


@pytest.mark.parametrize("name", ["key", "api-key", "token"])
@pytest.mark.parametrize("body", [None, {}, b"key="])
def test_takes_no_api_key_from_a_url(api, tried, name, body):
    key = ApiKeyFactory()
    tried()
    assert api.call("POST", f"{KEY}?{name}={secret_of(key)}", body).status_code == 400
    key.refresh_from_db()
    assert key.use_count == 0


def test_takes_no_tokens_to_renew_from_anywhere_but_the_body(api, tried):
    tried(3)
    tokens = {"pasta-token": pasta(), "edi-token": edi()}
    assert api.call("POST", f"{REFRESH}?pasta-token={pasta()}&edi-token={edi()}", {}).status_code == 400
    assert (
        api.call("POST", REFRESH, {}, headers={"Cookie": f"edi-token={edi()}; pasta-token={pasta()}"}).status_code
        == 400
    )
    assert api.call("GET", REFRESH, tokens).status_code == 405


def test_takes_no_administrator_from_anywhere_but_the_cookie(api, tried):
    tried(3)
    path, token = "/auth/v1/token/EDI-0", edi()
    assert api.call("PUT", f"{path}?edi-token={token}").status_code == 401
    assert api.call("PUT", path, {"edi-token": token}).status_code == 401
    assert api.call("PUT", path, headers={"edi-token": token, "Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize(
    ("method", "header"),
    [
        ("GET", "X-HTTP-Method-Override"),
        ("GET", "X-HTTP-Method"),
        ("POST", "X-Method-Override"),
        ("POST", "X-HTTP-Method-Override"),
    ],
)
def test_lets_no_header_change_the_method(api, tried, method, header):
    NamedTokenFactory(name="example")
    reader = value_of(NamedTokenFactory(can_write=False))
    tried()
    response = api.call(method, "/_/token", {"name": "example"}, bearer=reader, headers={header: "DELETE"})
    assert response.status_code == (200 if method == "GET" else 403)
    assert not AuditEvent.objects.exists()
