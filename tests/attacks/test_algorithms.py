"""Algorithm confusion and key-type swap (RFC 8725, sections 2.1 and 3.1): a token is what its key makes of it."""

import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from django.conf import settings as shipped

from tests.attacks.doors import BEARER_DOORS, EDI_DOORS
from tests.edi_auth.forge import EDI_KEY, PASTA_KEY, b64url, claims, edi, pasta, pasta_over, public_bytes
from tests.factories import NamedTokenFactory, PerformanceTokenFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SORT = "algorithm confusion, key-type swap"
NONE = ["none", "None", "NONE", "nOnE", "", None, "null", 0, False, [], {}, ["none"], "HS256\0", " HS256"]
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
PUBLIC = {
    "the EDI key as PEM": public_bytes(EDI_KEY, PEM),
    "the EDI key as PEM, stripped": public_bytes(EDI_KEY, PEM).strip(),
    "the EDI key as DER": public_bytes(EDI_KEY, DER),
    "the EDI key as PKCS #1 point": EDI_KEY.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    ),
    "the PASTA key as PEM": public_bytes(PASTA_KEY, PEM),
    "the PASTA key as DER": public_bytes(PASTA_KEY, DER),
    "nothing": b"",
    "a NUL": b"\0",
}


@pytest.fixture
def payloads(db):
    """What an attacker would like to be believed, by door."""
    token = NamedTokenFactory(name="victim")
    return dict.fromkeys(BEARER_DOORS, token.claims()) | dict.fromkeys(EDI_DOORS, claims())


def unsigned(header, payload):
    return f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(payload).encode())}"


@pytest.mark.parametrize("door", [*BEARER_DOORS, *EDI_DOORS])
def test_refuses_a_token_of_no_algorithm(refuses, payloads, door):
    for alg in NONE:
        head = unsigned({"alg": alg, "typ": "JWT"}, payloads[door])
        for signature in ("", b64url(b"\0" * 32), b64url(b"\0" * 64), "e30", b64url(hashlib.sha256(b"").digest())):
            assert refuses(door, f"{head}.{signature}"), alg
        assert refuses(door, head), alg


@pytest.mark.parametrize("door", [*BEARER_DOORS, *EDI_DOORS])
def test_refuses_a_token_without_an_algorithm(refuses, payloads, door):
    for header in ({}, {"typ": "JWT"}, {"ALG": "HS256"}, {"alg ": "HS256"}, {"enc": "A256GCM"}):
        assert refuses(door, unsigned(header, payloads[door]) + ".")


@pytest.mark.parametrize("door", [*BEARER_DOORS, *EDI_DOORS])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512", "ES256", "RS256"])
def test_refuses_an_hmac_under_what_everybody_knows(refuses, payloads, door, alg):
    head = unsigned({"alg": alg, "typ": "JWT"}, payloads[door])
    digest = {"384": "sha384", "512": "sha512"}.get(alg[2:], "sha256")
    for name, public in PUBLIC.items():
        assert refuses(door, f"{head}.{b64url(hmac.digest(public, head.encode(), digest))}"), name


@pytest.mark.parametrize("door", BEARER_DOORS)
def test_refuses_a_value_that_a_key_pair_of_the_server_signed(refuses, payloads, door):
    for alg, key in (("ES256", EDI_KEY), ("RS256", PASTA_KEY), ("PS256", PASTA_KEY)):
        assert refuses(door, jwt.encode(payloads[door], key, alg))


@pytest.mark.parametrize("door", BEARER_DOORS)
@pytest.mark.parametrize("alg", ["HS384", "HS512"])
@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_refuses_the_right_secret_under_another_algorithm(refuses, payloads, door, alg):
    assert refuses(door, jwt.encode(payloads[door], shipped.TOKENS_SECRET_KEY, alg))


@pytest.mark.parametrize("door", EDI_DOORS)
@pytest.mark.parametrize("setting", ["TOKENS_SECRET_KEY", "PERFORMANCE_SECRET_KEY", "SECRET_KEY"])
def test_refuses_an_edi_token_under_a_secret_of_the_server(refuses, payloads, door, setting):
    assert refuses(door, jwt.encode(payloads[door], getattr(shipped, setting), "HS256"))


@pytest.mark.parametrize("door", EDI_DOORS)
def test_refuses_an_edi_token_of_the_pasta_key(refuses, payloads, door):
    for alg in ("RS256", "RS512", "PS256"):
        assert refuses(door, jwt.encode(payloads[door], PASTA_KEY, alg))


@pytest.mark.parametrize("door", EDI_DOORS)
@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP256K1(), ec.SECP384R1()], ids=lambda curve: curve.name)
def test_refuses_an_edi_token_of_a_key_of_ones_own(refuses, payloads, door, curve):
    key = ec.generate_private_key(curve)
    head = unsigned({"alg": "ES256", "typ": "JWT"}, payloads[door])
    assert refuses(door, f"{head}.{b64url(key.sign(head.encode(), ec.ECDSA(hashes.SHA256())))}")


# CVE-2022-21449, "psychic signatures": r = s = 0, and numbers that are 0 modulo the order of the curve.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize("door", EDI_DOORS)
@pytest.mark.parametrize(("r", "s"), [(0, 0), (1, 0), (0, 1), (1, 1), (ORDER, ORDER), (ORDER, 0), (2**256 - 1, 1)])
def test_refuses_a_signature_of_numbers_that_sign_anything(refuses, payloads, door, r, s):
    head = unsigned({"alg": "ES256", "typ": "JWT"}, payloads[door])
    assert refuses(door, f"{head}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}")


def test_refuses_a_performance_token_under_the_secret_of_named_tokens(refuses):
    token = PerformanceTokenFactory()
    assert refuses("introspect", jwt.encode(token.claims(), shipped.TOKENS_SECRET_KEY, "HS256"))
    assert refuses("introspect", jwt.encode(token.claims(), "", "none"))


@pytest.mark.parametrize("door", ["introspect", *BEARER_DOORS])
def test_refuses_a_named_token_under_the_secret_of_performance_tokens(refuses, payloads, door):
    assert refuses(door, jwt.encode(payloads["list"], shipped.PERFORMANCE_SECRET_KEY, "HS256"))


@pytest.mark.parametrize("digest", [hashes.SHA224(), hashes.SHA256(), hashes.SHA512()], ids=lambda digest: digest.name)
def test_refuses_a_pasta_token_of_another_digest(refuses, digest):

    assert refuses("refresh-pasta", pasta(algorithm=digest))
    assert refuses("refresh-pasta", pasta_over("eA==", pad=padding.PSS(padding.MGF1(digest), 16), algorithm=digest))


@pytest.mark.parametrize("part", ["", "e30", b64url(b"\0" * 64), b64url(b"\0" * 256)])
def test_refuses_an_edi_token_as_a_pasta_token(refuses, part):
    assert refuses("refresh-pasta", edi())
    assert refuses("refresh-pasta", edi().replace(".", "-", 1))
    assert refuses("refresh-pasta", f"{edi().split('.')[1]}-{part}")


def test_takes_the_genuine_article_at_every_one_of_these_doors(api, payloads):
    value = jwt.encode(payloads["list"], shipped.TOKENS_SECRET_KEY, "HS256")
    assert api.call("GET", "/_/token", bearer=value).status_code == 200
    assert api.call("POST", "/introspect", {"token": edi()}, bearer=value).json()["active"] is True
