"""Every operation answers as the API description says, when it goes well and when it does not."""

import copy
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.db import OperationalError
from django.utils import timezone
from jsonschema import Draft202012Validator

from edi_auth import services as edi_services
from tests.factories import ApiKeyFactory, NamedTokenFactory, ProfileFactory, secret_of, value_of

pytestmark = pytest.mark.django_db

LARGE = b" " * (64 * 1024 + 1)
PUBLIC = {"X-PUB-KEY": "the-public-key-of-the-settings"}
READER, WRITER, NOBODY = "reader", "writer", None
EXAMPLE = {"name": "example"}
FUTURE = 4102444800000


def closed(part: Any) -> Any:
    """A copy of a schema in which no object has fields that are not described."""
    if isinstance(part, list):
        return [closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {name: closed(value) for name, value in part.items()}
    if part.get("type") == "object" and "properties" in part:
        made["additionalProperties"] = False
    return made


def body_of(response: Any, media_type: str) -> Any:
    """The body of a response as JSON values."""
    if media_type == "application/json":
        return response.json()
    if media_type == "text/plain":
        return response.content.decode()
    root = ET.fromstring(response.content)  # noqa: S314 — made by the code under test
    return {child.tag: child.text or "" for child in root}


def check(schema: dict[str, Any], response: Any, *, path: str, method: str) -> None:
    """Fail unless the description has this status, media type and body."""
    operation = schema["paths"][path][method.lower()]
    assert str(response.status_code) in operation["responses"]
    described = operation["responses"][str(response.status_code)]
    media_type = response["Content-Type"].split(";")[0]
    assert media_type in described["content"]
    body = body_of(response, media_type)
    root = closed(copy.deepcopy(described["content"][media_type]["schema"]))
    components = {"components": closed(schema["components"])}
    Draft202012Validator({**root, **components}).validate(body)


@pytest.fixture
def bearers():
    return {
        WRITER: value_of(NamedTokenFactory(name="writer")),
        READER: value_of(NamedTokenFactory(name="reader", can_write=False)),
        NOBODY: None,
    }


@pytest.mark.parametrize(
    ("status", "method", "path", "body", "who"),
    [
        (201, "POST", "/_/token", {"name": "new", "expiration_date": FUTURE, "active": False, "write": False}, WRITER),
        (201, "POST", "/_/token", {"name": "new", "expiration_date": None}, WRITER),
        (400, "POST", "/_/token", {}, WRITER),
        (400, "POST", "/_/token", {"name": 7}, WRITER),
        (400, "POST", "/_/token", {"name": "new", "expires": 1}, WRITER),
        (401, "POST", "/_/token", {"name": "new"}, NOBODY),
        (403, "POST", "/_/token", {"name": "new"}, READER),
        (409, "POST", "/_/token", EXAMPLE, WRITER),
        (413, "POST", "/_/token", LARGE, WRITER),
        (200, "GET", "/_/token", None, READER),
        (200, "GET", "/_/token?limit=1", None, READER),
        (400, "GET", "/_/token?limit=0", None, READER),
        (401, "GET", "/_/token", None, NOBODY),
        (200, "PUT", "/_/token", {"name": "example", "active": False}, WRITER),
        (400, "PUT", "/_/token", {"name": "example", "active": "no"}, WRITER),
        (401, "PUT", "/_/token", EXAMPLE, NOBODY),
        (403, "PUT", "/_/token", EXAMPLE, READER),
        (404, "PUT", "/_/token", {"name": "exmaple"}, WRITER),
        (413, "PUT", "/_/token", LARGE, WRITER),
        (200, "DELETE", "/_/token", EXAMPLE, WRITER),
        (400, "DELETE", "/_/token", b"[]", WRITER),
        (401, "DELETE", "/_/token", EXAMPLE, NOBODY),
        (403, "DELETE", "/_/token", EXAMPLE, READER),
        (404, "DELETE", "/_/token", {"name": "exmaple"}, WRITER),
        (413, "DELETE", "/_/token", LARGE, WRITER),
        (200, "GET", "/_/token/value?name=example", None, WRITER),
        (400, "GET", "/_/token/value", None, WRITER),
        (401, "GET", "/_/token/value?name=example", None, NOBODY),
        (403, "GET", "/_/token/value?name=example", None, READER),
        (404, "GET", "/_/token/value?name=exmaple", None, WRITER),
    ],
)
def test_answers_of_named_tokens(api, schema, bearers, status, method, path, body, who):
    NamedTokenFactory(name="example", last_used_at=timezone.now())
    response = api.call(method, path, body, bearer=bearers[who])
    assert response.status_code == status
    check(schema, response, path=path.partition("?")[0], method=method)


@pytest.mark.parametrize(
    ("status", "headers", "secret"),
    [(200, PUBLIC, "s" * 32), (400, {}, "s" * 32), (400, {"X-PUB-KEY": "wrong"}, "s" * 32), (500, PUBLIC, "")],
)
def test_answers_of_performance_tokens(api, schema, settings, status, headers, secret):
    settings.PERFORMANCE_SECRET_KEY = secret
    response = api.call("GET", "/token", headers=headers)
    assert response.status_code == status
    check(schema, response, path="/token", method="get")


@pytest.mark.parametrize("accept", ["application/json", "application/xml", "text/xml"])
@pytest.mark.parametrize(
    ("status", "state", "body"),
    [
        (200, {}, None),
        (400, {}, {}),
        (400, {}, b"["),
        (401, {"expires_at": timezone.now() - timedelta(days=1)}, None),
        (403, {"is_active": False}, None),
        (413, {}, LARGE),
    ],
    ids=["good", "no key", "no json", "expired", "inactive", "large"],
)
def test_answers_of_the_key_exchange(api, schema, accept, status, state, body):
    key = ApiKeyFactory(**state)
    body = {"key": secret_of(key)} if body is None else body
    response = api.call("POST", "/auth/v1/key", body, headers={"Accept": accept})
    assert response.status_code == status
    assert response["Content-Type"].startswith(accept)
    check(schema, response, path="/auth/v1/key", method="post")


@pytest.mark.parametrize("accept", ["application/json", "application/xml", "text/xml"])
@pytest.mark.parametrize(
    ("status", "change"),
    [
        (200, {}),
        (400, {"edi-token": 7}),
        (401, {"edi-token": "x.y.z"}),
        (401, {"pasta-token": "x-y"}),
        (403, {"pasta-token": "of somebody else"}),
    ],
    ids=["good", "wrong type", "edi", "pasta", "other"],
)
def test_answers_of_the_refresh(api, schema, accept, status, change):
    now = timezone.now()
    pair, other = (edi_services.tokens_of(ProfileFactory().pk, now=now) for _ in range(2))
    body = {"pasta-token": pair.pasta, "edi-token": pair.edi, **change}
    if body["pasta-token"] == "of somebody else":
        body["pasta-token"] = other.pasta
    response = api.call("POST", "/auth/v1/token/refresh", body, headers={"Accept": accept})
    assert response.status_code == status
    check(schema, response, path="/auth/v1/token/refresh", method="post")


def test_answer_of_the_ping(api, schema):
    response = api.call("GET", "/auth/v1/ping")
    assert response.status_code == 200
    check(schema, response, path="/auth/v1/ping", method="get")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "/_/token", None, {}),
        ("POST", "/_/token", EXAMPLE, {}),
        ("PUT", "/_/token", EXAMPLE, {}),
        ("DELETE", "/_/token", EXAMPLE, {}),
        ("GET", "/_/token/value?name=example", None, {}),
        ("POST", "/auth/v1/key", {"key": "R9arQ"}, {}),
    ],
)
def test_answers_while_the_database_is_away(api, schema, bearers, monkeypatch, method, path, body, headers):
    def refuse(*args, **kwargs):
        raise OperationalError("connection refused")

    monkeypatch.setattr("django.db.models.sql.compiler.SQLCompiler.execute_sql", refuse)
    monkeypatch.setattr("tokens.core.prepared._Written.run", refuse)
    response = api.call(method, path, body, bearer=bearers[WRITER], headers=headers)
    assert response.status_code == 503
    assert response["Retry-After"] == "2"
    check(schema, response, path=path.partition("?")[0], method=method)


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("/_/token", "TOKENS_SECRET_KEY"),
        ("/auth/v1/token/refresh", "EDI_JWT_PRIVATE_KEY_PATH"),
    ],
)
def test_answers_while_a_key_is_missing(api, schema, settings, tmp_path, path, setting):
    method = "GET" if path == "/_/token" else "POST"
    setattr(settings, setting, "" if setting.endswith("SECRET_KEY") else tmp_path / "edi.pem")
    response = api.call(
        method, path, {"pasta-token": "x-y", "edi-token": "x.y.z"} if method == "POST" else None, bearer="x"
    )
    assert response.status_code == 500
    check(schema, response, path=path, method=method)
