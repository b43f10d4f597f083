"""No credential in a log line, an error, a repr or an audit row."""

import logging

import pytest
from django.db import OperationalError

from edi_auth import claims, pasta, services
from edi_auth.services import TokenPair
from tests.edi_auth import forge
from tests.edi_auth.forge import KEY, NOW, REFRESH
from tests.factories import ApiKeyFactory, GroupFactory, secret_of
from tokens.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

TOKENS = {"pasta-token": forge.pasta(), "edi-token": forge.edi()}


@pytest.fixture
def api(api, caplog):
    """A client that takes a 500 for an answer, while every logger says all it can."""
    api.raise_request_exception = False
    caplog.set_level(logging.DEBUG)
    return api


def pieces(credential):
    """A credential and those of its parts that are long enough to be nothing else."""
    parts = credential.replace("-", ".").split(".")
    return [credential, *(part for part in parts if len(part) > 60)]


def assert_hidden(credentials, response, caplog):
    said = [response.content.decode(), str(response.headers), caplog.text]
    said += [str(vars(record)) for record in caplog.records if not hasattr(record, "request")]
    said += [str(row) for row in AuditEvent.objects.values()]
    for credential in credentials:
        for piece in pieces(credential):
            assert not any(piece in text for text in said)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"revoked_at": NOW}, 403),
        ({"expires_at": NOW}, 401),
        ({"owner__locked_at": NOW}, 403),
        ({"key_hash": "0" * 64}, 401),
    ],
    ids=["revoked", "expired", "locked", "unknown"],
)
@pytest.mark.parametrize("accept", ["*/*", "text/xml"])
def test_repeats_no_key_that_it_refuses(api, caplog, state, status, accept):
    key = ApiKeyFactory(**state)
    response = api.call("POST", KEY, {"key": secret_of(key)}, headers={"Accept": accept})
    assert response.status_code == status
    assert_hidden([secret_of(key)], response, caplog)


@pytest.mark.parametrize(
    "change",
    [
        {"edi-token": forge.edi(forge.claims(exp=1))},
        {"edi-token": forge.edi(forge.claims(iss="x"))},
        {"edi-token": forge.edi(forge.claims(idpUid="x", email="x"))},
        {"edi-token": forge.edi(forge.claims(exp="x"))},
        {"edi-token": forge.edi(b"[]")},
        {"edi-token": TOKENS["edi-token"][:-5]},
        {"pasta-token": TOKENS["pasta-token"][:-5]},
        {"pasta-token": forge.pasta("u*s*x")},
        {"pasta-token": forge.pasta("uid=other*x*1")},
        {"pasta-token": TOKENS["pasta-token"] + "\n"},
        {"pasta-token": TOKENS["edi-token"], "edi-token": TOKENS["pasta-token"]},
    ],
    ids=lambda change: str(change)[:30],
)
def test_repeats_no_token_that_it_refuses(api, caplog, change):
    body = TOKENS | change
    response = api.call("POST", REFRESH, body)
    assert response.status_code in {400, 401, 403}
    assert_hidden(body.values(), response, caplog)


@pytest.mark.parametrize("value", [["{}"], {"{}": 1}, {"x": "{}"}], ids=["list", "key", "value"])
def test_repeats_no_credential_in_a_field_of_another_type(api, caplog, value):
    secret = "R9arQwYMFqdgVVYt7jqcsxfyPyU"
    filled = (
        [secret] if isinstance(value, list) else {k.format(secret): str(v).format(secret) for k, v in value.items()}
    )
    response = api.call("POST", KEY, {"key": filled})
    assert response.status_code == 400
    assert_hidden([secret], response, caplog)


def test_repeats_no_unknown_field(api, caplog):
    secret = "R9arQwYMFqdgVVYt7jqcsxfyPyU"
    response = api.call("POST", KEY, {secret: secret})
    assert response.status_code == 400
    assert_hidden([secret], response, caplog)


@pytest.mark.parametrize("body", [b'{"key": "%s"', b'"%s"', b'["%s"]', b"key=%s"])
def test_repeats_nothing_of_a_body_that_it_cannot_read(api, caplog, body):
    secret = "R9arQwYMFqdgVVYt7jqcsxfyPyU"
    response = api.call("POST", KEY, body % secret.encode())
    assert response.status_code == 400
    assert_hidden([secret], response, caplog)


@pytest.mark.parametrize("path", [KEY, REFRESH, "/auth/v1/nothing", "/auth/v1/ping"])
def test_repeats_no_query_string(api, caplog, path):
    secret = "R9arQwYMFqdgVVYt7jqcsxfyPyU"
    response = api.call("GET", f"{path}?key={secret}")
    assert_hidden([secret], response, caplog)


@pytest.mark.parametrize("broken", [(services.pasta, "sign"), (claims, "pasta_ttl")], ids=["sign", "ttl"])
@pytest.mark.parametrize("exc", [RuntimeError("x"), OperationalError("x")], ids=["500", "503"])
def test_writes_no_credential_to_the_log_when_something_fails(api, caplog, monkeypatch, broken, exc):
    def fail(*args, **kwargs):
        raise exc

    monkeypatch.setattr(*broken, fail)
    key = ApiKeyFactory()
    for path, body in ((KEY, {"key": secret_of(key)}), (REFRESH, TOKENS)):
        response = api.call("POST", path, body)
        assert response.status_code in {500, 503}
        assert_hidden(body.values(), response, caplog)


def test_writes_no_credential_to_the_log_when_all_goes_well(api, caplog):
    key = ApiKeyFactory(group=GroupFactory())
    response = api.call("POST", KEY, {"key": secret_of(key)})
    given = response.json()
    refreshed = api.call("POST", REFRESH, {name: given[name] for name in TOKENS}).json()
    credentials = [secret_of(key), *(answer[name] for answer in (given, refreshed) for name in TOKENS)]
    assert not any(piece in caplog.text for credential in credentials for piece in pieces(credential))


@pytest.mark.parametrize(
    "make",
    [
        lambda: TokenPair(edi=TOKENS["edi-token"], pasta=TOKENS["pasta-token"]),
        services.ring,
        lambda: services.ring().keys,
        pasta.keys,
    ],
    ids=["pair", "ring", "keys", "pasta-keys"],
)
def test_shows_no_credential_in_a_repr(make):
    shown = repr(make())
    private = [forge.private_pem(key).decode().splitlines()[1] for key in (forge.EDI_KEY, forge.PASTA_KEY)]
    numbers = [str(forge.EDI_KEY.private_numbers().private_value), str(forge.PASTA_KEY.private_numbers().d)]
    assert not any(piece in shown for piece in [*TOKENS.values(), *private, *numbers])
