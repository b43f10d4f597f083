"""Tokens made and read by other means than the code under test: PyJWT, cryptography and the keys of `tests/data`."""

import base64
import hashlib
import hmac
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.conftest import NOW, VECTORS
from tests.settings import DATA

SECONDS = int(NOW.timestamp())
HOURS_8 = 8 * 3600
ISSUER, DOMAIN = "https://auth.edirepository.org", "edirepository.org"
SYSTEM = "https://pasta.edirepository.org/authentication"
REFRESH, KEY = "/auth/v1/token/refresh", "/auth/v1/key"
UID = VECTORS["edi"]["claims"]["idpUid"]

EDI_KEY: Any = serialization.load_pem_private_key((DATA / "edi.pem").read_bytes(), password=None)
PASTA_KEY: Any = serialization.load_pem_private_key((DATA / "pasta.pem").read_bytes(), password=None)

_jws = jwt.PyJWS()


@cache
def other_edi_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key that the server does not know."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def other_pasta_key() -> rsa.RSAPrivateKey:
    """An RSA key that the server does not know."""
    return rsa.generate_private_key(65537, 2048)


def public_bytes(key: Any, encoding: serialization.Encoding) -> bytes:
    """The public half of `key`."""
    return key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: Any) -> bytes:
    """`key` as a PEM file holds it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def edi_id(identity: str) -> str:
    """The EDI-ID of an identity."""
    return "EDI-" + hashlib.sha256(identity.encode()).hexdigest()[:40]


def b64url(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of the person of the vectors, issued at `NOW`; a change to `...` takes a claim away."""
    times = {"iat": SECONDS, "nbf": SECONDS, "exp": SECONDS + HOURS_8}
    changed = VECTORS["edi"]["claims"] | times | changes
    return {name: value for name, value in changed.items() if value is not ...}


def group_claims(**changes: Any) -> dict[str, Any]:
    """The claims of a group, issued at `NOW`."""
    own = {"sub": edi_id("a group"), "cn": "Group", "email": "", "principals": [edi_id("public")]}
    return claims(**own, idpCommonName="Group", idpName="group", idpUid="public", **changes)


def edi(
    payload: dict[str, Any] | bytes | None = None, *, key: Any = None, headers: dict[str, Any] | None = None
) -> str:
    """`payload`, by default `claims()`, signed with ES256 and, by default, the server's own key."""
    payload = claims() if payload is None else payload
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return _jws.encode(raw, EDI_KEY if key is None else key, "ES256", headers=headers)


def edi_segments(header: Any, payload: bytes | None = None, signature: bytes = b"") -> str:
    """A compact JWS of exactly these parts, whatever their signature is worth."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = json.dumps(claims()).encode() if payload is None else payload
    return ".".join(map(b64url, (head, body, signature)))


def edi_hmac(secret: bytes, algorithm: str = "HS256") -> str:
    """Claims under an HMAC with a `secret` that the attacker knows, a public key for example."""
    head = edi_segments({"alg": algorithm, "typ": "JWT"}).rpartition(".")[0]
    digest = {"HS256": "sha256", "HS512": "sha512"}[algorithm]
    return f"{head}.{b64url(hmac.digest(secret, head.encode(), digest))}"


def read_edi(token: str) -> dict[str, Any]:
    """The claims of an EDI token that verifies with the public key and holds now."""
    return jwt.decode(
        token, EDI_KEY.public_key(), algorithms=["ES256"], issuer=ISSUER, options={"require": ["iat", "nbf", "exp"]}
    )


def pasta_text(uid: str = UID, ttl: int | str = (SECONDS + HOURS_8) * 1000, *groups: str) -> str:
    """The text of a PASTA token, by default one of an LDAP identity issued at `NOW`."""
    return "*".join([uid, SYSTEM, str(ttl), *(groups or ("vetted", "authenticated"))])


def pasta(text: str | bytes | None = None, **signed: Any) -> str:
    """`text`, by default `pasta_text()`, as a token that `pasta_over` signs."""
    raw = pasta_text() if text is None else text
    return pasta_over(base64.b64encode(raw if isinstance(raw, bytes) else raw.encode()).decode(), **signed)


def pasta_over(encoded: str, *, key: Any = None, algorithm: Any = None, pad: Any = None) -> str:
    """A token of this very base64, signed with RSA PKCS#1 v1.5 and MD5 and, by default, the server's own key."""
    signature = (key or PASTA_KEY).sign(encoded.encode(), pad or padding.PKCS1v15(), algorithm or hashes.MD5())  # noqa: S303 — the format
    return f"{encoded}-{base64.b64encode(signature).decode()}"


def read_pasta(token: str) -> list[str]:
    """The parts of the text of a PASTA token that verifies with the public key."""
    encoded, signature = token.split("-")
    PASTA_KEY.public_key().verify(base64.b64decode(signature), encoded.encode(), padding.PKCS1v15(), hashes.MD5())  # noqa: S303 — the format
    return base64.b64decode(encoded).decode().split("*")
