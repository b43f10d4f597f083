"""Key rings: signing, verifying, rotation, and what a forger may try."""

import base64
import hashlib
import hmac
import json
import os
import string
from datetime import timedelta
from itertools import pairwise

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import NOW
from tests.settings import DATA
from tokens.core import signing
from tokens.core.errors import InvalidCredential, NotConfigured
from tokens.core.signing import (
    MAX_TOKEN_LENGTH,
    KeyRing,
    ec_ring,
    hmac_ring,
    jwk_of,
    load_public_key,
    sibling_keys,
    unverified_claims,
)

OLD, NEW = "an-old-secret-of-32-bytes-or-even-more", "a-new-secret-of-32-bytes-or-even-more!"
CLAIMS = {"sub": "somebody", "iat": 1717165914}
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def ring_of(*secrets: str, upcoming: str = "", with_kid: bool = True) -> KeyRing:
    """The ring of an active secret, of older ones behind it, and of the one that will be next."""
    names = {"": secrets[0], "_NEXT": upcoming, "_FALLBACKS": secrets[1:]}
    with override_settings(**{f"TOKENS_SECRET_KEY{name}": value for name, value in names.items()}):
        return hmac_ring("TOKENS_SECRET_KEY", with_kid=with_kid)


hmac_keys = ring_of(NEW, OLD)
ec_keys = ec_ring(DATA / "edi.pem", setting="X")
RINGS = {"HS256": hmac_keys, "ES256": ec_keys}
rings = pytest.mark.parametrize("ring", RINGS.values(), ids=RINGS)


def encoded(data: object) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def header_of(token: str) -> dict[str, str]:
    part = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def hs256(header: object, payload: object, secret: bytes) -> str:
    """A token made without the code under test."""
    signed = f"{encoded(header)}.{encoded(payload)}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def write_key(path, *, public=False, curve=ec.SECP256R1):
    """A new key file; its public half alone when `public`."""
    key = ec.generate_private_key(curve())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    if public:
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(pem)
    return path


@rings
def test_verifies_what_it_signed(ring):
    assert ring.verify(ring.sign(CLAIMS)) == CLAIMS


@rings
def test_keeps_the_order_of_the_claims(ring):
    claims = {"z": 1, "a": [True, None], "m": {"ü": "é"}}
    assert list(ring.verify(ring.sign(claims))) == ["z", "a", "m"]


@rings
def test_names_its_key_in_the_header(ring):
    assert header_of(ring.sign(CLAIMS)) == {"alg": ring.algorithm, "typ": "JWT", "kid": ring.keys[0].kid}


def test_leaves_the_key_id_out_where_the_document_has_none():
    ring = ring_of(NEW, with_kid=False)
    assert ring.sign(CLAIMS).startswith("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.")
    assert ring.verify(ring.sign(CLAIMS)) == CLAIMS


def test_signs_as_rfc_7515_says():
    signed, _, signature = hmac_keys.sign(CLAIMS).rpartition(".")
    assert signature == encoded(hmac.digest(NEW.encode(), signed.encode(), "sha256"))


@rings
@pytest.mark.parametrize("with_kid", [True, False])
def test_writes_what_the_library_writes(ring, with_kid):
    fresh, key = KeyRing(ring.algorithm, ring.keys, with_kid=with_kid), ring.keys[0]
    for claims in (CLAIMS, {"sub": "é", "n": 2**70}):
        written = jwt.encode(claims, key.signing, ring.algorithm, headers={"kid": key.kid} if with_kid else None)
        assert fresh.sign(claims).rpartition(".")[0] == written.rpartition(".")[0]


def test_signs_with_no_key_file_for_a_secret():
    ring = ring_of((DATA / "edi.pem").read_text())
    for _ in range(2):
        with pytest.raises(jwt.InvalidKeyError):
            ring.sign(CLAIMS)


def test_verifies_what_an_older_key_signed():
    assert hmac_keys.verify(ring_of(OLD).sign(CLAIMS)) == CLAIMS


def test_signs_with_the_active_key():
    token = hmac_keys.sign(CLAIMS)
    assert ring_of(NEW).verify(token) == CLAIMS
    with pytest.raises(InvalidCredential):
        ring_of(OLD).verify(token)


def test_verifies_an_older_token_without_a_key_id():
    token = ring_of(OLD, with_kid=False).sign(CLAIMS)
    assert hmac_keys.verify(token) == CLAIMS


def test_verifies_what_the_next_key_signed_and_does_not_sign_with_it():
    ring = ring_of(OLD, upcoming=NEW)
    assert ring.verify(ring_of(NEW).sign(CLAIMS)) == CLAIMS
    assert ring_of(OLD).verify(ring.sign(CLAIMS)) == CLAIMS


@pytest.fixture
def tried(monkeypatch):
    """The keys that the library is asked about, one after the other."""
    keys: list[bytes] = []
    decode = signing._jws.decode

    def record(raw, key, **options):
        keys.append(key)
        return decode(raw, key, **options)

    monkeypatch.setattr(signing._jws, "decode", record)
    return keys


@pytest.mark.parametrize(
    ("secret", "with_kid", "expected"), [(NEW, True, [NEW]), (OLD, True, [OLD]), (OLD, False, [NEW, OLD])]
)
def test_tries_the_key_first_that_the_header_names(tried, secret, with_kid, expected):
    hmac_keys.verify(ring_of(secret, with_kid=with_kid).sign(CLAIMS | {"tried": secret}))
    assert [key.decode() for key in tried] == expected


@rings
def test_verifies_a_signature_once_a_minute_and_what_was_refused_every_time(tried, ring):
    token = ring.sign(CLAIMS | {"sub": "again"})
    for _ in range(2):
        assert ring.verify(token)["sub"] == "again"
        with pytest.raises(InvalidCredential):
            ring.verify(token.rpartition(".")[0] + ".AAAA")
    assert len(tried) == 1 + 2 * len(ring.keys)


def test_forgets_a_key_that_was_taken_out():
    token = ring_of(OLD).sign(CLAIMS)
    with pytest.raises(InvalidCredential):
        ring_of(NEW).verify(token)


@pytest.mark.parametrize("kid", ["unknown", "", hmac_keys.keys[0].kid])
def test_lets_a_key_id_decide_nothing_but_the_order(kid):
    assert hmac_keys.verify(hs256({"alg": "HS256", "kid": kid}, CLAIMS, OLD.encode())) == CLAIMS


@pytest.mark.parametrize("kid", ["unknown", hmac_keys.keys[0].kid, 7, None, ["x"], {"kid": "x"}])
def test_lets_a_key_id_make_no_signature_good(kid):
    with pytest.raises(InvalidCredential):
        hmac_keys.verify(hs256({"alg": "HS256", "kid": kid}, CLAIMS, b"somebody else's secret"))


def test_has_a_key_id_that_is_no_digest_of_the_secret():
    assert hmac_keys.keys[0].kid not in {
        encoded(hashlib.sha256(NEW.encode()).digest())[:16],
        hashlib.sha256(NEW.encode()).hexdigest()[:16],
    }


def test_shows_no_key_in_its_representation():
    assert NEW not in repr(hmac_keys.keys[0])
    assert NEW not in repr(hmac_keys)


@rings
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS384", "RS256", "PS256", "EdDSA"])
def test_refuses_another_algorithm(ring, algorithm):
    _, payload, signature = ring.sign(CLAIMS).split(".")
    header = encoded({"alg": algorithm, "typ": "JWT"})
    for end in (signature, ""):
        with pytest.raises(InvalidCredential):
            ring.verify(f"{header}.{payload}.{end}")


@pytest.mark.parametrize("form", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_refuses_an_hmac_made_with_the_public_key(form):
    public = load_public_key(DATA / "edi.pem", setting="X").public_bytes(
        form, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(InvalidCredential):
        ec_keys.verify(hs256({"alg": "HS256", "typ": "JWT"}, CLAIMS, public))


@pytest.mark.parametrize("parameter", ["jwk", "jku", "x5u", "x5c"])
def test_takes_no_key_from_the_header(parameter, tmp_path):
    forger = ec_ring(write_key(tmp_path / "forger.pem"), setting="X")
    header = {"alg": "ES256", parameter: "https://forger.example/key.json"}
    _, payload, signature = forger.sign(CLAIMS).split(".")
    with pytest.raises(InvalidCredential):
        ec_keys.verify(f"{encoded(header)}.{payload}.{signature}")


def test_refuses_a_critical_extension_that_nobody_understands():
    with pytest.raises(InvalidCredential):
        hmac_keys.verify(hs256({"alg": "HS256", "crit": ["exp"], "exp": 1}, CLAIMS, NEW.encode()))


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b'"text"', b"1", b"{", b"\xff", b"[" * 5000])
def test_refuses_a_genuine_token_whose_payload_is_no_object(payload):
    with pytest.raises(InvalidCredential):
        hmac_keys.verify(hs256({"alg": "HS256"}, payload, NEW.encode()))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_refuses_a_genuine_token_with_what_is_no_number(number):
    with pytest.raises(InvalidCredential):
        hmac_keys.verify(hs256({"alg": "HS256"}, f'{{"exp": {number}}}'.encode(), NEW.encode()))


def test_reads_numbers_with_a_fraction():
    assert hmac_keys.verify(hs256({"alg": "HS256"}, b'{"iat": 1.5}', NEW.encode())) == {"iat": 1.5}


@pytest.mark.parametrize("header", [[], "text", None, 1, {}, {"alg": None}, {"alg": ["HS256"]}, {"alg": {"a": 1}}])
def test_refuses_a_header_that_makes_no_sense(header):
    with pytest.raises(InvalidCredential):
        hmac_keys.verify(hs256(header, CLAIMS, NEW.encode()))


@rings
@pytest.mark.parametrize("part", [0, 1, 2])
def test_refuses_a_token_with_a_part_changed(ring, part):
    parts = ring.sign(CLAIMS).split(".")
    parts[part] = ("f" if parts[part][0] == "e" else "e") + parts[part][1:]
    with pytest.raises(InvalidCredential):
        ring.verify(".".join(parts))


@rings
@pytest.mark.parametrize(
    "disguise",
    [
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: token + "\n" * 4,
        lambda token: token[:-4] + "!" * 4 + token[-4:],
        lambda token: token[:-1] + LETTERS[LETTERS.index(token[-1]) + 1],
        lambda token: " " + token,
        lambda token: token + ".x",
        lambda token: token.rpartition(".")[0],
        lambda token: token.replace(".", ".."),
        lambda token: token + "é",
        lambda token: token + "\udc80",
        lambda token: token[:-1],
    ],
    ids=[
        "padding",
        "newline",
        "newlines",
        "strange letters",
        "stray bits",
        "space",
        "fourth part",
        "no signature",
        "empty part",
        "not ascii",
        "no text",
        "cut",
    ],
)
def test_takes_a_token_in_one_spelling_only(ring, disguise):
    with pytest.raises(InvalidCredential):
        ring.verify(disguise(ring.sign(CLAIMS)))


def test_looks_at_no_token_that_is_too_long():
    token = hmac_keys.sign({"sub": "x" * MAX_TOKEN_LENGTH})
    with pytest.raises(InvalidCredential):
        hmac_keys.verify(token)
    assert unverified_claims(token) == {}


segment = st.one_of(
    st.text(alphabet="ABCabc012-_=", max_size=30),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["alg", "kid", "crit"]), inner),
        max_leaves=5,
    ).map(encoded),
    st.binary(max_size=20).map(encoded),
)
malformed = st.one_of(st.text(max_size=100), st.tuples(segment, segment, segment).map(".".join))


@pytest.mark.parametrize("ring", [*RINGS.values(), ring_of(NEW)], ids=["fallbacks", "EC", "one key"])
@given(raw=malformed)
def test_raises_nothing_else_whatever_it_is_given(ring, raw):
    with pytest.raises(InvalidCredential):
        ring.verify(raw)


def test_names_the_setting_of_a_secret_that_is_missing():
    with pytest.raises(NotConfigured, match="TOKENS_SECRET_KEY"):
        ring_of("", OLD)


@pytest.mark.parametrize("content", [None, b"", b"no key", (DATA / "pasta.pem").read_bytes()])
def test_names_the_setting_of_a_key_file_that_is_no_p256_key(tmp_path, content):
    path = tmp_path / "edi.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotConfigured, match=r"EDI_JWT_PRIVATE_KEY_PATH: edi\.pem"):
        ec_ring(path, setting="EDI_JWT_PRIVATE_KEY_PATH")


def test_refuses_a_key_of_another_curve(tmp_path):
    with pytest.raises(NotConfigured, match="P-256"):
        ec_ring(write_key(tmp_path / "edi.pem", curve=ec.SECP384R1), setting="X")


def test_reveals_no_path_of_a_missing_key_file(tmp_path):
    with pytest.raises(NotConfigured) as refused:
        ec_ring(tmp_path / "edi.pem", setting="X")
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("public", [True, False], ids=["public", "private"])
def test_verifies_with_the_key_files_beside_the_active_one(tmp_path, public):
    old = ec_ring(write_key(tmp_path / "old.pem"), setting="X")
    pem = (tmp_path / "old.pem").read_bytes()
    if public:
        pem = load_public_key(tmp_path / "old.pem", setting="X").public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    (tmp_path / "edi.2025.pem").write_bytes(pem)
    ring = ec_ring(write_key(tmp_path / "edi.pem"), setting="X")
    assert ring.verify(old.sign(CLAIMS)) == CLAIMS
    assert header_of(ring.sign(CLAIMS))["kid"] != header_of(old.sign(CLAIMS))["kid"]


def test_takes_up_a_key_file_that_comes_later(tmp_path):
    write_key(tmp_path / "edi.pem")
    before = ec_ring(tmp_path / "edi.pem", setting="X")
    other = ec_ring(write_key(tmp_path / "other.pem"), setting="X")
    (tmp_path / "other.pem").rename(tmp_path / "edi.next.pem")
    ring = ec_ring(tmp_path / "edi.pem", setting="X")
    assert ring.verify(other.sign(CLAIMS)) == CLAIMS
    assert before.verify(ring.sign(CLAIMS)) == CLAIMS


def test_takes_up_a_key_that_was_replaced_in_the_tick_in_which_it_was_read(tmp_path, clock):
    """File systems tell the time of a change in ticks of milliseconds, some in seconds."""

    def replaced():
        write_key(tmp_path / "draft.pem").rename(tmp_path / "edi.pem")
        os.utime(tmp_path, (NOW.timestamp(), NOW.timestamp()))
        return ec_ring(tmp_path / "edi.pem", setting="X")

    before, after = replaced(), replaced()
    assert after.keys[0].kid == before.keys[0].kid
    clock.shift(timedelta(seconds=1))
    ring = ec_ring(tmp_path / "edi.pem", setting="X")
    assert ring.keys[0].kid == jwk_of(load_public_key(tmp_path / "edi.pem", setting="X"))["kid"]


def test_reads_keys_no_more_once_no_change_can_go_unseen(tmp_path, clock):
    path = write_key(tmp_path / "edi.pem")
    os.utime(tmp_path, (NOW.timestamp(), NOW.timestamp()))
    rings = []
    for seconds in (-86400, -3600, 0, 0.1, 0.6, 1.1, 1.6, 2.1, 60, 86400):
        clock.move_to(NOW + timedelta(seconds=seconds), tick=False)
        rings.append(ec_ring(path, setting="X"))
    assert [before is ring for before, ring in pairwise(rings)] == [True, False, True, *[False] * 4, True, True]


def test_reads_keys_again_when_one_gets_another_name_meanwhile(tmp_path, monkeypatch):
    path, upcoming = write_key(tmp_path / "edi.pem"), write_key(tmp_path / "edi.next.pem")

    def found(path):
        names = sibling_keys(path)
        if upcoming.exists():
            upcoming.replace(path)
        return names

    monkeypatch.setattr(signing, "sibling_keys", found)
    ring = ec_ring(path, setting="X")
    assert ring.keys[0].kid == jwk_of(load_public_key(path, setting="X"))["kid"]


def test_refuses_a_file_beside_the_active_one_that_is_no_key(tmp_path):
    write_key(tmp_path / "edi.pem")
    (tmp_path / "edi.old.pem").write_text("no key")
    with pytest.raises(NotConfigured, match=r"X: edi\.old\.pem"):
        ec_ring(tmp_path / "edi.pem", setting="X")


@pytest.mark.parametrize("other", ["RSA", "P-384"])
def test_refuses_a_file_beside_the_active_one_that_is_no_p256_key(tmp_path, other):
    write_key(tmp_path / "edi.pem")
    if other == "RSA":
        (tmp_path / "edi.old.pem").write_bytes((DATA / "pasta.pem").read_bytes())
    else:
        write_key(tmp_path / "edi.old.pem", public=True, curve=ec.SECP384R1)
    with pytest.raises(NotConfigured, match=r"X: edi\.old\.pem holds no P-256 key"):
        ec_ring(tmp_path / "edi.pem", setting="X")


def test_shows_a_p256_key_as_a_jwk():
    numbers = load_public_key(DATA / "edi.pem", setting="X").public_numbers()
    x, y = (encoded(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    thumbprint = hashlib.sha256(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'.encode()).digest()
    jwk = jwk_of(load_public_key(DATA / "edi.pem", setting="X"))
    assert jwk == {"kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "kid": encoded(thumbprint)}
    assert jwk["kid"] == ec_keys.keys[0].kid


def test_shows_an_rsa_key_as_a_jwk():
    numbers = load_public_key(DATA / "pasta.pem", setting="X").public_numbers()
    n = encoded(numbers.n.to_bytes(256, "big"))
    thumbprint = hashlib.sha256(f'{{"e":"AQAB","kty":"RSA","n":"{n}"}}'.encode()).digest()
    jwk = jwk_of(load_public_key(DATA / "pasta.pem", setting="X"))
    assert jwk == {"kty": "RSA", "e": "AQAB", "n": n, "use": "sig", "kid": encoded(thumbprint)}


@rings
def test_reads_claims_that_nobody_verified(ring):
    assert unverified_claims(ring.sign(CLAIMS)) == CLAIMS
    assert unverified_claims(hs256({"alg": "HS256"}, CLAIMS, b"somebody else's secret")) == CLAIMS


@given(raw=malformed)
def test_reads_claims_from_whatever_it_is_given(raw):
    assert isinstance(unverified_claims(raw), dict)
