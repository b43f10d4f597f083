"""The bearer of `/_/token` (the Token document, "Headers"; the contract, "`/_/token`"; RFC 6750)."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.factories import NamedTokenFactory, PerformanceTokenFactory, value_of
from tests.tokens.tools import encode_jws, everything_stored
from tokens.core.signing import ec_ring

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
HS256 = {"alg": "HS256", "typ": "JWT"}
REFUSED = {"error": "The bearer token is missing or not valid."}
WRITES = [
    ("POST", "/_/token", {"name": "new"}),
    ("PUT", "/_/token", {"name": "example", "active": False}),
    ("DELETE", "/_/token", {"name": "example"}),
    ("POST", "/_/token/rotate", {"name": "example"}),
    ("GET", "/_/token/value?name=example", None),
]
CALLS = [("GET", "/_/token", None), ("PATCH", "/_/token", None), *WRITES]


def assert_is_refused(response):
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json() == REFUSED


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_takes_the_value_of_a_usable_token(api, bearer, scheme):
    response = api.call("GET", "/_/token", headers={"Authorization": f"{scheme} {bearer}"})
    assert response.status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_refuses_every_call_without_a_header(api, bearer, method, path, body):
    NamedTokenFactory(name="example")
    before = everything_stored()
    assert_is_refused(api.call(method, path, body))
    assert everything_stored() == before


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "VALUE",
        "BearerVALUE",
        "Bearer:VALUE",
        "Bearer\tVALUE",
        'Bearer "VALUE"',
        "Bearer VALUE VALUE",
        "Bearer VALUE, Bearer VALUE",
        "Bearer VALUE,",
        "Basic VALUE",
        "Token VALUE",
        "Digest VALUE",
        "Bearer garbage",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer eyJhbGciOiJIUzI1NiJ9..",
        "Bearer .VALUE",
        "Bearer VALUE.",
        "Bearer VALUEx",
        "Bearer xVALUE",
        "Bearer VALUE=",
        "Bearer VALUE~",
        "Bearer schlüssel",
        "Bearer \0",
        "Bearer " + "x" * 100_000,
        "Bearer " + "x." * 50_000,
        "Bearer " + "W1tb" * 5_000 + ".W10.W10",
        "Bearer " + "MTEx" * 5_000 + ".W10.W10",
    ],
    ids=lambda header: repr(header[:40]),
)
def test_refuses_a_header_that_is_no_bearers(api, bearer, header):
    assert_is_refused(api.call("GET", "/_/token", headers={"Authorization": header.replace("VALUE", bearer)}))


@pytest.mark.parametrize("where", ["access_token", "token", "bearer", "Authorization"])
def test_refuses_a_value_in_the_url(api, bearer, where):
    assert_is_refused(api.call("GET", f"/_/token?{where}={bearer}"))


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
def test_refuses_a_value_of_which_a_letter_was_changed(api, bearer, part):
    parts = bearer.split(".")
    parts[part] = parts[part][:9] + ("A" if parts[part][9] != "A" else "B") + parts[part][10:]
    assert_is_refused(api.call("GET", "/_/token", bearer=".".join(parts)))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, "HS384", "HS512", "RS256", "ES256", ["HS256"], {}])
def test_refuses_another_algorithm_whoever_signed(api, bearer, settings, alg):
    claims = NamedTokenFactory().claims()
    value = encode_jws({"alg": alg, "typ": "JWT"}, claims, secret=settings.TOKENS_SECRET_KEY)
    assert_is_refused(api.call("GET", "/_/token", bearer=value))


@pytest.mark.parametrize("digest", ["sha384", "sha512"])
@pytest.mark.parametrize("alg", ["HS256", "matching"])
def test_refuses_another_digest(api, db, settings, digest, alg):
    header = {"alg": "HS" + digest[3:] if alg == "matching" else alg, "typ": "JWT"}
    value = encode_jws(header, NamedTokenFactory().claims(), secret=settings.TOKENS_SECRET_KEY, digest=digest)
    assert_is_refused(api.call("GET", "/_/token", bearer=value))


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_refuses_a_value_without_a_signature(api, db, settings, alg):
    value = encode_jws({"alg": alg, "typ": "JWT"}, NamedTokenFactory().claims(), secret=settings.TOKENS_SECRET_KEY)
    assert_is_refused(api.call("GET", "/_/token", headers={"Authorization": f"Bearer {value.rpartition('.')[0]}."}))


@pytest.mark.parametrize("name", ["SECRET_KEY", "PERFORMANCE_SECRET_KEY", "PERFORMANCE_PUBLIC_KEY", "another"])
def test_refuses_a_value_that_another_secret_signed(api, db, settings, name):
    value = encode_jws(HS256, NamedTokenFactory().claims(), secret=getattr(settings, name, "another-secret"))
    assert_is_refused(api.call("GET", "/_/token", bearer=value))


def test_refuses_a_value_that_the_edi_key_signed(api, db, settings):
    ring = ec_ring(settings.EDI_JWT_PRIVATE_KEY_PATH, setting="EDI_JWT_PRIVATE_KEY_PATH")
    assert_is_refused(api.call("GET", "/_/token", bearer=ring.sign(NamedTokenFactory().claims())))


@pytest.mark.parametrize("is_same_secret", [False, True], ids=["of its own secret", "of the same secret"])
def test_refuses_a_performance_token(api, db, settings, is_same_secret):
    if is_same_secret:
        settings.PERFORMANCE_SECRET_KEY = settings.TOKENS_SECRET_KEY
    assert_is_refused(api.call("GET", "/_/token", bearer=value_of(PerformanceTokenFactory())))


@pytest.mark.parametrize(
    "header",
    [
        {"kid": 7},
        {"kid": "../../../../dev/null"},
        {"kid": "x", "jku": "https://example.org/keys", "x5u": "https://example.org/key"},
        {"crit": ["exp"], "exp": 1},
        {"b64": False, "crit": ["b64"]},
    ],
    ids="+".join,
)
def test_takes_no_header_parameter_for_a_key(api, db, header):
    value = encode_jws(HS256 | header, NamedTokenFactory().claims(), secret="another-secret")
    assert_is_refused(api.call("GET", "/_/token", bearer=value))


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": str(uuid.UUID(int=7))},
        {"sub": "bearer"},
        {"sub": ""},
        {"sub": "\0"},
        {"sub": None},
        {"sub": 1},
        {"sub": ["a"]},
        {"sub": {}},
        {"iss": "tokens"},
        {"iss": None},
        {"iss": ["token"]},
        {"iss": "https://auth.edirepository.org"},
    ],
    ids=str,
)
def test_refuses_claims_that_name_no_token_of_here(api, db, settings, changes):
    claims = NamedTokenFactory().claims() | changes
    value = encode_jws(HS256, claims, secret=settings.TOKENS_SECRET_KEY)
    assert_is_refused(api.call("GET", "/_/token", bearer=value))


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"7", b'"token"', b"\xff", b"{", b"[" * 20_000], ids=repr)
def test_refuses_a_payload_that_is_no_object(api, db, settings, payload):
    value = encode_jws(HS256, payload, secret=settings.TOKENS_SECRET_KEY)
    assert_is_refused(api.call("GET", "/_/token", headers={"Authorization": f"Bearer {value}"}))


def respelt(value):
    """`value` with the same bytes of signature in the letters of standard base64."""
    head, _, signature = value.rpartition(".")
    return f"{head}.{signature.replace('-', '+').replace('_', '/')}"


def next_of_last_letter(value):
    """`value` with the same bytes of signature, but one of the two bits that its last letter wastes set."""
    return value[:-1] + chr(ord(value[-1]) + 1)


@pytest.mark.parametrize("other", [respelt, next_of_last_letter])
def test_refuses_another_spelling_of_a_value(api, db, other):
    subjects = map(uuid.UUID, (f"{n:032x}" for n in itertools.count()))
    tokens = (NamedTokenFactory.build(name="example", created_at=NOW, subject=subject) for subject in subjects)
    token = next(
        token for token in tokens if value_of(token)[-1] in "AEIMQUY" and respelt(value_of(token)) != value_of(token)
    )
    token.save()
    assert api.call("GET", "/_/token", bearer=value_of(token)).status_code == 200
    assert_is_refused(api.call("GET", "/_/token", bearer=other(value_of(token))))


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
@pytest.mark.parametrize(
    "fields",
    [
        {"is_active": False},
        {"expires_at": NOW},
        {"expires_at": NOW - timedelta(days=1)},
        {"starts_at": NOW + timedelta(microseconds=1)},
        {"revoked_at": NOW},
    ],
    ids=["inactive", "expired just now", "expired", "not yet started", "revoked"],
)
def test_refuses_every_call_of_an_unusable_token(api, db, time_machine, fields, method, path, body):
    time_machine.move_to(NOW, tick=False)
    NamedTokenFactory(name="example")
    value = value_of(NamedTokenFactory(created_at=NOW - timedelta(days=2), **fields))
    before = everything_stored()
    assert_is_refused(api.call(method, path, body, bearer=value))
    assert everything_stored() == before


@pytest.mark.parametrize(
    "fields",
    [{"expires_at": NOW + timedelta(microseconds=1)}, {"starts_at": NOW}],
    ids=["the last microsecond", "the first moment"],
)
def test_takes_a_token_until_the_moment_it_ends_and_from_the_moment_it_starts(api, db, time_machine, fields):
    time_machine.move_to(NOW, tick=False)
    value = value_of(NamedTokenFactory(**fields))
    assert api.call("GET", "/_/token", bearer=value).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_forbids_a_read_token_every_write_call(api, db, method, path, body):
    NamedTokenFactory(name="example")
    reader = value_of(NamedTokenFactory(name="reader", can_write=False))
    response = api.call(method, path, body, bearer=reader)
    assert response.status_code == 403
    assert response.json() == {"error": "This token has no write permission."}
    rows = api.call("GET", "/_/token", bearer=reader).json()["data"]
    assert [(row["name"], row["state"]) for row in rows] == [("example", "active"), ("reader", "active")]


def test_forbids_a_read_token_to_ask_for_the_head_of_a_value(api, db):
    reader = value_of(NamedTokenFactory(name="reader", can_write=False))
    assert api.call("HEAD", "/_/token/value?name=reader", bearer=reader).status_code == 403


@pytest.mark.parametrize("body", [b"{", {"name": "example", "actve": True}, {"name": "nobody"}], ids=repr)
def test_forbids_before_it_looks_at_the_body(api, db, body):
    reader = value_of(NamedTokenFactory(can_write=False))
    assert api.call("PUT", "/_/token", body, bearer=reader).status_code == 403
    assert_is_refused(api.call("PUT", "/_/token", body))
