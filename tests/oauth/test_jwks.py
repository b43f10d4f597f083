"""GET /.well-known/jwks.json (RFC 7517; RFC 7638 for the key ids)."""

import base64
import hashlib
import json
import os

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.edi_auth.forge import KEY, other_edi_key, other_pasta_key, private_pem, public_bytes
from tests.factories import ApiKeyFactory, secret_of

PATH = "/.well-known/jwks.json"
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}


@pytest.fixture
def keys(api):
    """The keys as anybody gets them."""
    return lambda: api.call("GET", PATH).json()["keys"]


@pytest.fixture
def folder(tmp_path, settings):
    """Fresh key files in a folder of their own."""
    (tmp_path / "edi.pem").write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
    (tmp_path / "pasta.pem").write_bytes(private_pem(other_pasta_key()))
    settings.EDI_JWT_PRIVATE_KEY_PATH = tmp_path / "edi.pem"
    settings.PASTA_PRIVATE_KEY_PATH = tmp_path / "pasta.pem"
    return tmp_path


def touch(folder):
    """Let the folder seem as new as it is: the clock of some file systems is coarse."""
    stat = folder.stat()
    os.utime(folder, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))


def thumbprint(jwk):
    """RFC 7638, section 3: SHA-256 of the required members in order, without blanks, in base64url."""
    members = {name: jwk[name] for name in MEMBERS[jwk["kty"]]}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def test_is_a_jwk_set_of_both_signers(api, keys):
    response = api.call("GET", PATH)
    assert response.status_code == 200
    assert response.json().keys() == {"keys"}
    assert [(jwk["kty"], jwk["use"], jwk.get("alg")) for jwk in keys()] == [
        ("EC", "sig", "ES256"),
        ("RSA", "sig", None),
    ]


def test_names_each_key_by_its_thumbprint(keys):
    assert [jwk["kid"] for jwk in keys()] == [thumbprint(jwk) for jwk in keys()]


def test_computes_the_thumbprint_of_the_standards_own_example():
    """RFC 7638, section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    )
    assert thumbprint({"kty": "RSA", "n": n, "e": "AQAB"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_shows_no_private_part(api, keys):
    assert keys()
    for jwk in keys():
        assert not PRIVATE & set(jwk)
        assert set(jwk) <= {*MEMBERS[jwk["kty"]], "kid", "use", "alg"}
    assert b"PRIVATE" not in api.call("GET", PATH).content


@pytest.mark.django_db
def test_verifies_an_edi_token_with_the_key_that_its_header_names(api):
    token = api.call("POST", KEY, {"key": secret_of(ApiKeyFactory())}).json()["edi-token"]
    found = jwt.PyJWKSet.from_json(api.call("GET", PATH).content.decode())
    jwk = found[jwt.get_unverified_header(token)["kid"]]
    assert isinstance(jwk, jwt.PyJWK)
    assert jwt.decode(token, jwk, algorithms=["ES256"], issuer="https://auth.edirepository.org")["sub"].startswith(
        "EDI-"
    )


@pytest.mark.django_db
def test_verifies_a_pasta_token(api, keys):
    token = api.call("POST", KEY, {"key": secret_of(ApiKeyFactory())}).json()["pasta-token"]
    encoded, _, signature = token.partition("-")
    key = jwt.PyJWK({**keys()[1], "alg": "RS256"}).key
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(signature), encoded.encode(), padding.PKCS1v15(), hashes.MD5())  # noqa: S303 — the format


@pytest.mark.parametrize("name", ["edi.next.pem", "edi.old-1790000000.pem", "edi.2026.pem"])
def test_shows_every_key_of_the_ring(keys, folder, name):
    (folder / name).write_bytes(private_pem(other_edi_key()))
    (folder / name.replace("edi", "pasta")).write_bytes(
        public_bytes(rsa.generate_private_key(65537, 2048), Encoding.PEM)
    )
    found = keys()
    assert [jwk["kty"] for jwk in found] == ["EC", "EC", "RSA", "RSA"]
    assert len({jwk["kid"] for jwk in found}) == 4
    assert [jwk["kid"] for jwk in found] == [thumbprint(jwk) for jwk in found]


def test_shows_a_key_that_comes_and_none_that_went(keys, folder):
    before = {jwk["kid"] for jwk in keys()}
    (folder / "edi.next.pem").write_bytes(private_pem(other_edi_key()))
    touch(folder)
    added = {jwk["kid"] for jwk in keys()} - before
    assert len(added) == 1
    (folder / "edi.next.pem").unlink()
    touch(folder)
    assert {jwk["kid"] for jwk in keys()} == before


def test_names_no_key_twice(keys, folder):
    """A rotation that was interrupted leaves one key under two names."""
    os.link(folder / "edi.pem", folder / "edi.old-1790000000.pem")
    os.link(folder / "pasta.pem", folder / "pasta.old-1790000000.pem")
    kids = [jwk["kid"] for jwk in keys()]
    assert len(kids) == len(set(kids)) == 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_may_be_kept_for_a_while(api, method):
    response = api.call(method, PATH)
    assert response.status_code == 200
    assert response["Cache-Control"] == "public, max-age=300"
    assert response["Content-Type"].startswith("application/json")


def test_needs_no_credential_and_looks_at_none(api):
    assert api.call("GET", PATH, bearer="x").status_code == 200


@pytest.mark.parametrize(("missing", "left"), [("edi", ["RSA"]), ("pasta", ["EC"])])
def test_shows_the_keys_that_there_are(keys, folder, missing, left):
    (folder / f"{missing}.pem").unlink()
    touch(folder)
    assert [jwk["kty"] for jwk in keys()] == left


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_answers_to_get_alone(api, method):
    response = api.call(method, PATH)
    assert response.status_code == 405
    assert response.json()["error"] == "invalid_request"
