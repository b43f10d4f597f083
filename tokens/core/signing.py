"""Key rings: one key signs, all keys verify. The only importer of the JWT library."""

import base64
import hashlib
import hmac
import json
import math
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings

from tokens.core.errors import InvalidCredential, NotConfigured
from tokens.core.recent import Recent

# A short secret of an earlier system goes on working; a system check says so, the library need not at every token.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)
# The largest token that is looked at: a body of 64 KiB could hold no larger one anyway.
MAX_TOKEN_LENGTH = 64 * 1024
# File systems tell in ticks when a folder was changed: of two changes within one, as a rotation makes them, the second
# does not show. The longest tick, and how soon keys are read again meanwhile, in nanoseconds.
TICK, READ_AGAIN = 2_000_000_000, 500_000_000

Keys = TypeVar("Keys")


class _JWS(jwt.PyJWS):
    """The library's JWS with its slowest step, a loop over the characters of a token, replaced by an equal one.

    Should a release give that step another name, this one is never called, and all stays right but slower.
    """

    @staticmethod
    def _decode_base64url_segment(segment: bytes, name: str) -> bytes:
        """A segment that is spelled as RFC 7515, section 2, has it: base64url without padding, no stray bits."""
        try:
            decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
        except ValueError:
            decoded = b""
        if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
            raise jwt.DecodeError(f"Invalid {name} padding")
        return decoded


_jws = _JWS(algorithms=["HS256", "ES256"])


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A key of a ring. `signing` is None for a key that only verifies."""

    kid: str
    signing: Any
    verifying: Any


class KeyRing:
    """The keys of one signer for one algorithm. The first key signs; a token of any of them verifies.

    `with_kid` puts the key id (RFC 7515, section 4.1.4) in the header of what is signed. With `signs_once`, claims that
    were signed in the last minute keep the signature they got, as they would from deterministic ECDSA (RFC 6979).
    """

    def __init__(
        self, algorithm: str, keys: tuple[Key, ...], *, with_kid: bool = True, signs_once: bool = False
    ) -> None:
        self.algorithm = algorithm
        self.keys = keys
        self._verified: Recent[bytes] = Recent()
        self._signed: Recent[str] | None = Recent() if signs_once else None
        self._headers = {"kid": keys[0].kid} if with_kid else None
        self._signer = _jws.get_algorithm_by_name(algorithm)

    def sign(self, claims: dict[str, Any]) -> str:
        """`claims`, in the order given, as a compact JWS (RFC 7515) of the active key.

        They go through the standard library's `json`: orjson would change or refuse integers above 64 bits.
        """
        header, _ = self._prepared
        signed = f"{header}.{b64url(_encoder.encode(claims).encode())}"
        return f"{signed}.{self._signature(signed.encode())}"

    def _signature(self, signed: bytes) -> str:
        _, key = self._prepared
        if self._signed is None:
            return b64url(self._signer.sign(signed, key))
        fingerprint = hashlib.sha256(signed).digest()
        signature = self._signed.get(fingerprint)
        if signature is None:
            signature = b64url(self._signer.sign(signed, key))
            self._signed.put(fingerprint, signature)
        return signature

    @cached_property
    def _prepared(self) -> tuple[str, Any]:
        """The header and the key as the library makes them for each token: they are the same every time."""
        key = self.keys[0].signing
        header, _, _ = _jws.encode(b"", key, self.algorithm, headers=self._headers).partition(".")
        return header, self._signer.prepare_key(key)

    def verify(self, raw: str) -> dict[str, Any]:
        """The claims of a token that a key of this ring signed with this ring's algorithm.

        The answer depends on token and keys alone; whether the claims hold now is the caller's question. The header's
        `kid` chooses the key to try first and nothing more; `jku`, `jwk`, `x5u` and `alg` choose nothing at all.

        Raises `InvalidCredential` for anything else.
        """
        if not raw.isascii() or len(raw) > MAX_TOKEN_LENGTH or raw.count(".") != 2 or "=" in raw:
            raise InvalidCredential("The token is malformed.")
        fingerprint = hashlib.sha256(raw.encode()).digest()
        for key in self._candidates(raw):
            try:
                payload = self._verified.get(fingerprint)
                if payload is None:
                    payload = _jws.decode(raw, key.verifying, algorithms=[self.algorithm])
                    self._verified.put(fingerprint, payload)
                claims = _decoder.decode(payload.decode())
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
                continue
            if isinstance(claims, dict):
                return claims
        raise InvalidCredential("The token is malformed or was not signed here.")

    def _candidates(self, raw: str) -> tuple[Key, ...]:
        if len(self.keys) == 1:
            return self.keys
        try:
            kid = _jws.get_unverified_header(raw).get("kid")
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return ()
        return tuple(sorted(self.keys, key=lambda key: key.kid != kid))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON.")


def _finite(raw: str) -> float:
    number = float(raw)
    if math.isinf(number):
        raise ValueError("The number is too large.")
    return number


# Made once: the functions of `json` make one at every call that has arguments.
_encoder = json.JSONEncoder(separators=(",", ":"))
_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hmac_ring(setting: str, *, with_kid: bool = True) -> KeyRing:
    """The HS256 ring of the secret in `setting`, which signs, and of those in `setting`_NEXT and `setting`_FALLBACKS.

    Raises `NotConfigured` when there is no secret to sign with.
    """
    active = getattr(settings, setting)
    if not active:
        raise NotConfigured(f"{setting} is not set.")
    others = (getattr(settings, f"{setting}_NEXT", ""), *getattr(settings, f"{setting}_FALLBACKS", ()))
    return _hmac_ring((active, *filter(None, others)), with_kid=with_kid)


@lru_cache(maxsize=16)
def _hmac_ring(secrets: tuple[str, ...], *, with_kid: bool) -> KeyRing:
    """The key id is an HMAC under the key, so that it tells nobody anything about a weak one."""
    keys = []
    for secret in secrets:
        kid = b64url(hmac.digest(secret.encode(), b"kid", "sha256"))[:16]
        keys.append(Key(kid=kid, signing=secret.encode(), verifying=secret.encode()))
    return KeyRing("HS256", tuple(keys), with_kid=with_kid)


def ec_ring(active: Path, *, setting: str) -> KeyRing:
    """The ES256 ring of the PEM file `active`, which signs, and of its `sibling_keys`.

    Parsed once per process and again when a file in their folder comes, goes or is replaced. Raises `NotConfigured`
    naming `setting` when a file is missing or holds no P-256 key.
    """
    return read_keys(_ec_ring, active, setting=setting)


def read_keys(read: Callable[..., Keys], path: Path, *, setting: str) -> Keys:
    """What `read` makes of the key files at `path` and beside it, of which one can go in between to have another name.

    It gets the version of their folder, by which it may keep what it has made. Raises what it does.
    """
    try:
        return read(path, _folder_version(path, setting=setting), setting=setting)
    except NotConfigured:
        return read(path, _folder_version(path, setting=setting), setting=setting)


def _folder_version(path: Path, *, setting: str) -> tuple[int, int]:
    """What changes with the files beside `path`, and a few times more until no change can be in the tick of the last.

    Raises `NotConfigured` naming `setting` without a folder.
    """
    try:
        changed = os.stat(_folder_of(path)).st_mtime_ns  # noqa: PTH116 — a third of the time, several times a request
    except OSError as exc:
        raise NotConfigured(f"{setting}: {path.name} is missing or holds no private key.") from exc
    return changed, max(-1, min((time.time_ns() - changed) // READ_AGAIN, TICK // READ_AGAIN))


@lru_cache(maxsize=16)
def _folder_of(path: Path) -> str:
    return str(path.parent)


@lru_cache(maxsize=16)
def _ec_ring(active: Path, _version: tuple[int, int], *, setting: str) -> KeyRing:
    private = load_private_key(active, setting=setting)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise NotConfigured(f"{setting}: {active.name} holds no P-256 private key.")
    public = private.public_key()
    keys = [Key(kid=jwk_of(public)["kid"], signing=private, verifying=public)]
    for path in sibling_keys(active):
        public_key = load_public_key(path, setting=setting)
        if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(public_key.curve, ec.SECP256R1):
            raise NotConfigured(f"{setting}: {path.name} holds no P-256 key.")
        keys.append(Key(kid=jwk_of(public_key)["kid"], signing=None, verifying=public_key))
    return KeyRing("ES256", tuple(keys), signs_once=True)


def load_private_key(path: Path, *, setting: str) -> Any:
    """The private key in the PEM file at `path`; raises `NotConfigured` naming `setting` when there is none."""
    try:
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as exc:
        what = "is missing" if isinstance(exc, FileNotFoundError) else "holds no private key as PEM without a password"
        raise NotConfigured(f"{setting}: {path.name} {what}.") from exc


def load_public_key(path: Path, *, setting: str) -> Any:
    """The public key of the PEM file at `path`, whether it holds a public or a private key."""
    try:
        pem = path.read_bytes()
        if b"PRIVATE KEY" in pem:
            return serialization.load_pem_private_key(pem, password=None).public_key()
        return serialization.load_pem_public_key(pem)
    except (OSError, ValueError, TypeError) as exc:
        raise NotConfigured(f"{setting}: {path.name} is missing or holds no key.") from exc


def sibling_keys(path: Path) -> tuple[Path, ...]:
    """The key files that only verify: `edi.<anything>.pem` beside the active `edi.pem`."""
    return tuple(sorted(path.parent.glob(f"{path.stem}.*{path.suffix}")))


def public_pem(key: ec.EllipticCurvePublicKey) -> str:
    """A public key as PEM (RFC 7468)."""
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, form).decode()


def jwk_of(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> dict[str, str]:
    """A public key as a JWK (RFC 7517), its `kid` the thumbprint (RFC 7638)."""
    if isinstance(key, rsa.RSAPublicKey):
        members = {"e": _b64url_uint(key.public_numbers().e), "kty": "RSA", "n": _b64url_uint(key.public_numbers().n)}
    else:
        numbers = key.public_numbers()
        x, y = (b64url(part.to_bytes(32, "big")) for part in (numbers.x, numbers.y))
        members = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    thumbprint = b64url(hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).digest())
    return {**members, "kid": thumbprint, "use": "sig"}


def _b64url_uint(number: int) -> str:
    return b64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def unverified_claims(raw: str) -> dict[str, Any]:
    """What a compact JWS claims before anybody has looked at its signature: good for telling shapes apart, no more."""
    parts = raw.split(".", 3)
    if len(parts) != 3 or len(raw) > MAX_TOKEN_LENGTH:
        return {}
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
