"""Keys and extensions smuggled in through the header of a token (RFC 7515, section 4.1; RFC 8725, section 3.10)."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings as shipped

from tests.attacks.doors import BEARER_DOORS, EDI_DOORS
from tests.edi_auth.forge import b64url, claims, edi, other_edi_key, private_pem, public_bytes
from tests.factories import NamedTokenFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SORT = "kid, jku, jwk, x5u and crit in the header"
SECRET = "a-secret-of-the-attacker-that-is-long-enough"
OWN_EC = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(other_edi_key().public_key()))
OWN_OCT = {"kty": "oct", "k": b64url(SECRET.encode()), "alg": "HS256"}
DER = base64.b64encode(public_bytes(other_edi_key(), Encoding.DER)).decode()
URLS = ["https://attacker.example/jwks.json", "file:///dev/null", "http://127.0.0.1:7000/.well-known/jwks.json", "//x"]
KIDS = [
    *("", "0", "../../../../dev/null", "/dev/null", "/proc/self/environ", "edi.pem", "../keys/edi.old-1.pem"),
    *("' OR 1=1 --", "x' UNION SELECT 'a", "$(id)", "`id`", "|id", "\0", "\r\nX: y", "ключ", "x" * 10_000),
    *(0, -1, 1.5, 2**64, True, None, [], ["a"], {}, {"a": {}}),
]
HEADERS = [
    *({"kid": kid} for kid in KIDS),
    *({name: url} for name in ("jku", "x5u") for url in URLS),
    *({"jwk": jwk} for jwk in (OWN_EC, OWN_OCT, {**OWN_OCT, "kid": "x"}, {"kty": "oct", "k": ""}, "x", None, [])),
    *({"x5c": chain} for chain in ([DER], DER, [], None)),
    *({"crit": crit, "b64": False} for crit in (["b64"], "b64", [])),
    *({"crit": crit} for crit in (["exp"], ["jku"], [""], [1], {"b64": 1})),
    *({"zip": value} for value in ("DEF", None)),
    *({"alg": alg} for alg in ("HS256", "ES256", "none", "dir", "RSA-OAEP", "PBES2-HS256+A128KW")),
    {"typ": "JOSE+JSON"},
    {"cty": "JWT"},
    {"jwk": OWN_EC, "jku": URLS[0], "kid": "x", "x5c": [DER]},
]


def of_a_secret(header, payload, secret):
    head = ".".join(b64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"} | header, payload))
    return f"{head}.{b64url(hmac.digest(secret, head.encode(), 'sha256'))}"


def of_a_key(header, payload, key):
    head = ".".join(b64url(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"} | header, payload))
    return f"{head}.{b64url(jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(head.encode(), key))}"


@pytest.fixture(params=["one key", "several keys"])
def rings(request, settings, tmp_path):
    """With one key there is nothing to choose; with several a `kid` could choose."""
    if request.param == "several keys":
        settings.TOKENS_SECRET_KEY_FALLBACKS = ("an-older-secret-of-the-server-of-32-bytes-or-more",)
        (tmp_path / "edi.pem").write_bytes(shipped.EDI_JWT_PRIVATE_KEY_PATH.read_bytes())
        (tmp_path / "edi.old-1.pem").write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
        settings.EDI_JWT_PRIVATE_KEY_PATH = tmp_path / "edi.pem"


@pytest.mark.usefixtures("rings")
def test_takes_no_secret_from_a_header(refuses):
    payload = NamedTokenFactory().claims()
    for header in HEADERS:
        for secret in (SECRET.encode(), b"", b"\0", json.dumps(header).encode(), hashlib.sha256(b"").digest()):
            assert refuses("list", of_a_secret(header, payload, secret)), header


@pytest.mark.usefixtures("rings")
@pytest.mark.parametrize("door", EDI_DOORS)
def test_takes_no_key_from_a_header(refuses, door):
    for header in HEADERS:
        assert refuses(door, of_a_key(header, claims(), other_edi_key())), header


@pytest.mark.usefixtures("rings")
@pytest.mark.parametrize("door", [*BEARER_DOORS, "introspect"])
def test_takes_no_secret_named_by_the_kid_of_another_key(refuses, api, door, settings):
    payload, other = NamedTokenFactory().claims(), settings.PERFORMANCE_SECRET_KEY.encode()
    for key in (settings.TOKENS_SECRET_KEY, settings.PERFORMANCE_SECRET_KEY):
        kid = b64url(hmac.digest(key.encode(), b"kid", "sha256"))[:16]
        assert refuses(door, of_a_secret({"kid": kid}, payload, other))


@pytest.mark.usefixtures("rings")
@pytest.mark.parametrize("kid", [kid for kid in KIDS if isinstance(kid, str)], ids=ascii)
def test_lets_a_kid_that_names_nothing_take_nothing_away(api, tried, kid):
    tried()
    body = {"pasta-token": "x-x", "edi-token": edi(headers={"kid": kid})}
    assert api.call("POST", "/auth/v1/token/refresh", body).json()["msg"] == "The PASTA token is malformed."
