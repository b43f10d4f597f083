"""The PASTA token, `base64(text) + "-" + base64(signature)`: a legacy format, kept for the verifiers that are deployed.

The signature is RSA PKCS#1 v1.5 (RFC 8017, section 8.2) with MD5 over the base64 of the text. MD5 is broken for
collisions; nothing outside this module may use it.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings

from tokens.core.errors import InvalidCredential, NotConfigured
from tokens.core.recent import Recent
from tokens.core.signing import load_private_key, load_public_key, read_keys, sibling_keys

TTL = re.compile(r"[0-9]{1,15}")
FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")
MAX_LENGTH = 8192


@dataclass(frozen=True, slots=True)
class PastaToken:
    """The parts of a PASTA token's text: `ttl` is the moment of expiry in milliseconds, `groups` is joined by stars."""

    uid: str
    system: str
    ttl: int
    groups: str = ""

    @property
    def text(self) -> str:
        """What is signed: the parts joined by stars, an empty group part left out with its star."""
        return "*".join([self.uid, self.system, str(self.ttl), *([self.groups] if self.groups else [])])

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of `text`. Raises `InvalidCredential` unless they give back that very text."""
        parts = text.split("*", 3)
        if len(parts) < 3 or not parts[0] or FORBIDDEN.search(text) or not TTL.fullmatch(parts[2]):
            raise InvalidCredential("The PASTA token is malformed.")
        token = cls(parts[0], parts[1], int(parts[2]), parts[3] if len(parts) == 4 else "")
        if token.text != text:
            raise InvalidCredential("The PASTA token is malformed.")
        return token

    def renewed(self, ttl: int) -> Self:
        """The same token with another moment of expiry."""
        return replace(self, ttl=ttl)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The private key that signs, the public keys whose tokens verify, and what they have signed and verified lately.

    The signature is deterministic: the same text has the same one. `signatures` are kept without the text they belong
    to, `verified` without the signature that was verified, so that neither holds a token.
    """

    signing: rsa.RSAPrivateKey
    verifying: tuple[rsa.RSAPublicKey, ...]
    signatures: Recent[str] = field(default_factory=Recent)
    verified: Recent[PastaToken] = field(default_factory=Recent)


def keys() -> Keys:
    """The RSA keys at `PASTA_PRIVATE_KEY_PATH` and beside it, parsed again when these files change.

    Raises `NotConfigured`.
    """
    return read_keys(_load_keys, settings.PASTA_PRIVATE_KEY_PATH, setting="PASTA_PRIVATE_KEY_PATH")


@lru_cache(maxsize=4)
def _load_keys(path: Path, _version: tuple[int, int], *, setting: str) -> Keys:
    active: Any = load_private_key(path, setting=setting)
    others: list[Any] = [load_public_key(sibling, setting=setting) for sibling in sibling_keys(path)]
    if not isinstance(active, rsa.RSAPrivateKey) or not all(isinstance(key, rsa.RSAPublicKey) for key in others):
        raise NotConfigured(f"{setting}: {path.name} and the keys beside it must be RSA keys.")
    return Keys(active, (active.public_key(), *others))


def looks_like(raw: str) -> bool:
    """Whether `raw` has the two parts of a PASTA token, whose text is longer than any random key."""
    encoded, separator, _ = raw.partition("-")
    return bool(separator) and len(encoded) >= 40


def sign(token: PastaToken) -> str:
    """`token` as it goes over the wire."""
    encoded, ours = base64.b64encode(token.text.encode()), keys()
    fingerprint = hashlib.sha256(encoded).digest()
    signature = ours.signatures.get(fingerprint)
    if signature is None:
        signed = ours.signing.sign(encoded, padding.PKCS1v15(), hashes.MD5())  # noqa: S303 — what deployed verifiers check
        signature = base64.b64encode(signed).decode()
        ours.signatures.put(fingerprint, signature)
    return f"{encoded.decode()}-{signature}"


def verify(raw: str) -> PastaToken:
    """The parts of a token that was signed with one of our keys, expired or not. Raises `InvalidCredential`.

    The answer depends on token and keys alone, so that one of the last minute need not be found again.
    """
    if not raw.isascii() or len(raw) > MAX_LENGTH:
        raise InvalidCredential("The PASTA token is malformed.")
    ours, fingerprint = keys(), hashlib.sha256(raw.encode()).digest()
    token = ours.verified.get(fingerprint)
    if token is None:
        token = _verify(raw, ours)
        ours.verified.put(fingerprint, token)
    return token


def _verify(raw: str, ours: Keys) -> PastaToken:
    encoded, separator, raw_signature = raw.partition("-")
    if not separator:
        raise InvalidCredential("The PASTA token is malformed.")
    signature, text = _decode(raw_signature), _decode(encoded)
    for key in ours.verifying:
        try:
            key.verify(signature, encoded.encode(), padding.PKCS1v15(), hashes.MD5())  # noqa: S303 — see the module
        except InvalidSignature:
            continue
        try:
            return PastaToken.parse(text.decode())
        except UnicodeDecodeError:
            raise InvalidCredential("The PASTA token is malformed.") from None
    raise InvalidCredential("The PASTA token was not signed here.")


def _decode(encoded: str) -> bytes:
    """Standard base64 (RFC 4648, section 4) in its one canonical spelling."""
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidCredential("The PASTA token is malformed.") from None
    if base64.b64encode(decoded).decode() != encoded:
        raise InvalidCredential("The PASTA token is malformed.")
    return decoded
