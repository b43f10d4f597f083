"""POST /auth/v1/token/refresh (the document "Token and API key API", "refreshToken").

Tests without the mark `django_db` prove besides what they say that no query is made: pytest-django would refuse it.
"""

import base64
import json
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edi_auth import services
from tests.client import APIClient
from tests.conftest import VECTORS
from tests.edi_auth.forge import (
    EDI_KEY,
    HOURS_8,
    KEY,
    NOW,
    PASTA_KEY,
    REFRESH,
    SECONDS,
    SYSTEM,
    UID,
    b64url,
    claims,
    edi,
    edi_hmac,
    edi_id,
    edi_segments,
    group_claims,
    other_edi_key,
    other_pasta_key,
    pasta,
    pasta_over,
    pasta_text,
    private_pem,
    public_bytes,
    read_edi,
    read_pasta,
)
from tests.factories import ApiKeyFactory, GroupFactory, ProfileFactory, secret_of

pytestmark = pytest.mark.usefixtures("clock")

TTL = str((SECONDS + HOURS_8) * 1000)


def refresh(api, pasta_token=None, edi_token=None, **options):
    """One request with the tokens that are given, and genuine ones of one identity for those that are not."""
    tokens = {
        "pasta-token": pasta() if pasta_token is None else pasta_token,
        "edi-token": edi() if edi_token is None else edi_token,
    }
    return api.call("POST", REFRESH, tokens, **options)


def is_refused(response, status=401):
    """Whether this is a refusal in the words of the API, and carries no token."""
    body = response.json()
    return (response.status_code, body.keys(), body["method"]) == (status, {"msg", "method"}, "refreshToken")


def cases(**named):
    """Parameters with names."""
    return [pytest.param(value, id=name) for name, value in named.items()]


def test_answers_with_both_tokens_a_message_and_the_method(api):
    response = refresh(api)
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["msg", "pasta-token", "edi-token", "method"]
    assert (body["msg"], body["method"]) == ("PASTA and EDI tokens refreshed successfully", "refreshToken")


def test_answers_in_xml_where_accept_asks_for_it(api, parse_xml):
    body = parse_xml(refresh(api, headers={"Accept": "application/xml"}))
    assert list(body) == ["msg", "pasta-token", "edi-token", "method"]
    assert read_edi(body["edi-token"])["idpUid"] == read_pasta(body["pasta-token"])[0] == UID


def test_keeps_the_answer_out_of_caches(api):
    assert refresh(api)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("seconds", [1, 59, 3600, HOURS_8 - 1])
def test_gives_both_tokens_a_later_end(api, clock, seconds):
    old_edi, old_pasta = edi(), pasta()
    clock.move_to(NOW + timedelta(seconds=seconds), tick=False)
    body = refresh(api, old_pasta, old_edi).json()
    renewed = read_edi(body["edi-token"])
    assert renewed["exp"] == SECONDS + HOURS_8 + seconds > claims()["exp"]
    assert (renewed["iat"], renewed["nbf"]) == (SECONDS + seconds, SECONDS + seconds)
    assert int(read_pasta(body["pasta-token"])[2]) == int(TTL) + seconds * 1000


def test_lasts_as_long_as_the_settings_say(api, settings):
    settings.EDI_TOKEN_HOURS = 2
    body = refresh(api).json()
    assert read_edi(body["edi-token"])["exp"] == SECONDS + 7200
    assert read_pasta(body["pasta-token"])[2] == str((SECONDS + 7200) * 1000)


def test_counts_in_whole_seconds_and_whole_milliseconds(api, clock):
    clock.move_to(NOW + timedelta(milliseconds=1234.9), tick=False)
    body = refresh(api).json()
    renewed = read_edi(body["edi-token"])
    assert (renewed["iat"], renewed["nbf"], renewed["exp"]) == (SECONDS + 1, SECONDS + 1, SECONDS + 1 + HOURS_8)
    assert read_pasta(body["pasta-token"])[2] == str(int(TTL) + 1234)


UNKNOWN = {
    "zz": 1,
    "aa": -1.5,
    "nested": {"b": [1, {"a": None}], "a": True},
    "text": 'Žofie "木村" 🦎\n\x00</result>&',
    "list": [],
    "empty": {},
    "Iat": 7,
    "jti": "x",
    "aud": ["a", "b"],
    "largest": 2**64 - 1,
    "least": -(2**63),
}


def test_changes_nothing_but_the_times(api, clock):
    old = claims(**UNKNOWN)
    clock.shift(10)
    renewed = read_edi_for_any_audience(refresh(api, edi_token=edi(old)).json()["edi-token"])
    times = {"iat": SECONDS + 10, "nbf": SECONDS + 10, "exp": SECONDS + 10 + HOURS_8}
    assert renewed == old | times


def read_edi_for_any_audience(token):
    return json.loads(jwt.PyJWS().decode(token, EDI_KEY.public_key(), algorithms=["ES256"]))


def test_keeps_the_order_of_the_claims(api):
    old = {"zz": 1} | dict(reversed(list(claims().items()))) | {"aa": 2}
    assert list(read_edi(refresh(api, edi_token=edi(old)).json()["edi-token"])) == list(old)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@hypothesis_settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(unknown=st.dictionaries(st.text().filter(lambda name: name not in claims()), JSON, max_size=5))
def test_keeps_whatever_other_claims_there_are(unknown):
    old = claims(**unknown)
    renewed = read_edi_for_any_audience(refresh(APIClient(), edi_token=edi(old)).json()["edi-token"])
    assert list(renewed.items()) == list((old | {"iat": SECONDS, "nbf": SECONDS, "exp": SECONDS + HOURS_8}).items())


@pytest.mark.parametrize("number", [2**64 + 1, -(2**63) - 1, 10**30])
def test_keeps_a_number_beyond_64_bits(api, number):
    response = refresh(api, edi_token=edi(claims(number=number)))
    assert read_edi(response.json()["edi-token"])["number"] == number


@pytest.mark.parametrize("depth", [100, 300, *range(850, 1000, 10), 20_000])
def test_answers_claims_of_any_depth_without_an_error_of_its_own(api, depth):
    payload = json.dumps(claims(nested=...)).encode()[:-1] + b', "nested": ' + b"[" * depth + b"]" * depth + b"}"
    api.raise_request_exception = False
    assert refresh(api, edi_token=edi(payload)).status_code in {200, 401}


@pytest.mark.parametrize("raw", [b"NaN", b"Infinity", b"1e999", b'"\\ud800"', b'"\xff"'])
def test_gives_no_token_that_is_not_json(api, raw):
    payload = json.dumps(claims()).encode()[:-1] + b', "odd": ' + raw + b"}"
    response = refresh(api, edi_token=edi(payload))
    assert response.status_code in {200, 401}
    if response.status_code == 200:
        text = base64.urlsafe_b64decode(response.json()["edi-token"].split(".")[1] + "==").decode()
        assert json.loads(text, parse_constant=pytest.fail)["odd"] == json.loads(raw)


@pytest.mark.parametrize(
    "text",
    [
        f"{UID}*{SYSTEM}*{{ttl}}*vetted*authenticated",
        f"{UID}*{SYSTEM}*{{ttl}}*authenticated",
        f"{UID}*{SYSTEM}*{{ttl}}",
        f"{UID}*{SYSTEM}*{{ttl}}*a*b*c*žluť",
        f"{UID}*{SYSTEM}*{{ttl}}*group with spaces-and-dashes",
    ],
)
def test_keeps_every_other_part_of_the_pasta_token(api, text):
    body = refresh(api, pasta(text.format(ttl=1))).json()
    assert "*".join(read_pasta(body["pasta-token"])) == text.format(ttl=TTL)


def test_renews_what_it_renewed(api, clock):
    body = refresh(api).json()
    clock.shift(HOURS_8 - 1)
    again = refresh(api, body["pasta-token"], body["edi-token"])
    assert again.status_code == 200
    assert read_edi(again.json()["edi-token"])["exp"] == SECONDS + 2 * HOURS_8 - 1


@pytest.mark.parametrize("number", [0, 1])
def test_renews_the_tokens_of_other_implementations(api, number):
    vector = VECTORS["pasta"][number]
    response = refresh(api, vector["token"], VECTORS["edi"]["token"])
    assert response.status_code == 200
    body = response.json()
    uid, system, _, *groups = vector["text"].split("*")
    assert read_pasta(body["pasta-token"]) == [uid, system, TTL, *groups]
    assert read_edi(body["edi-token"]) == claims()


def test_passes_over_fields_that_are_not_documented(api):
    body = {"pasta-token": pasta(), "edi-token": edi(), "ttl": 1, "pasta_token": "x"}
    assert api.call("POST", REFRESH, body).status_code == 200


@pytest.mark.django_db
def test_makes_no_query_when_it_renews(api, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert refresh(api).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("pasta_token", "edi_token", "status"),
    [
        (pasta(), edi(claims(exp=SECONDS)), 401),
        (pasta(pasta_text("uid=other")), edi(), 403),
        (pasta(), "", 400),
    ],
    ids=[401, 403, 400],
)
def test_makes_no_query_when_it_refuses(api, django_assert_num_queries, pasta_token, edi_token, status):
    with django_assert_num_queries(0):
        assert refresh(api, pasta_token, edi_token).status_code == status


@pytest.mark.django_db
def test_makes_no_query_to_know_of_a_lock(api, snapshot, django_assert_num_queries):
    ProfileFactory(idp_uid=UID, locked_at=NOW)
    snapshot.renew()
    with django_assert_num_queries(0):
        assert refresh(api).status_code == 403


@pytest.mark.parametrize("ttl", [0, 1, (SECONDS - 1) * 1000, SECONDS * 1000, 999_999_999_999_999])
def test_renews_a_pasta_token_whenever_it_ends(api, ttl):
    body = refresh(api, pasta(pasta_text(UID, ttl))).json()
    assert read_pasta(body["pasta-token"])[2] == TTL


@pytest.mark.parametrize("exp", [0, -1, SECONDS - HOURS_8, SECONDS - 1, SECONDS, SECONDS + 0.0])
def test_refuses_an_expired_edi_token(api, exp):
    assert is_refused(refresh(api, edi_token=edi(claims(exp=exp))))


@pytest.mark.parametrize("exp", [SECONDS + 1, SECONDS + 0.001, SECONDS + 10 * HOURS_8, 4102444800.5])
def test_renews_an_edi_token_until_it_expires(api, exp):
    assert refresh(api, edi_token=edi(claims(exp=exp))).status_code == 200


@pytest.mark.parametrize(("before", "status"), [(timedelta(microseconds=1), 200), (timedelta(0), 401)], ids=str)
def test_ends_an_edi_token_at_its_very_second(api, clock, before, status):
    token = edi()
    clock.move_to(NOW + timedelta(hours=8) - before, tick=False)
    assert refresh(api, edi_token=token).status_code == status


def test_revives_no_expired_edi_token_by_a_fresh_pasta_token(api, clock):
    token = edi()
    clock.move_to(NOW + timedelta(hours=9), tick=False)
    fresh = pasta(pasta_text(UID, (SECONDS + 2 * HOURS_8) * 1000))
    assert is_refused(refresh(api, fresh, token))


@pytest.mark.parametrize(
    ("nbf", "status"), [(SECONDS, 200), (SECONDS - 1, 200), (SECONDS + 1, 401), (SECONDS + 0.5, 401)]
)
def test_refuses_an_edi_token_that_holds_only_later(api, nbf, status):
    assert refresh(api, edi_token=edi(claims(nbf=nbf))).status_code == status


ILL_TYPED = [None, True, False, "", str(SECONDS + 60), [SECONDS], {"s": SECONDS}]


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ILL_TYPED, ids=repr)
def test_refuses_an_edi_token_with_ill_typed_times(api, name, value):
    assert is_refused(refresh(api, edi_token=edi(claims(**{name: value}))))


@pytest.mark.parametrize("name", ["exp", "iat"])
def test_refuses_an_edi_token_without_its_times(api, name):
    assert is_refused(refresh(api, edi_token=edi(claims(**{name: ...}))))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("raw", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"0x7fffffff", b"99999999999."])
def test_refuses_an_edi_token_with_numbers_that_json_does_not_have(api, name, raw):
    payload = json.dumps(claims(**{name: ...})).encode()[:-1] + b', "' + name.encode() + b'": ' + raw + b"}"
    assert is_refused(refresh(api, edi_token=edi(payload)))


@pytest.mark.parametrize("name", ["iss", "hd"])
@pytest.mark.parametrize(
    "value",
    [
        *(..., None, "", "example.org", ["https://auth.edirepository.org"], ["edirepository.org"], True, {}),
        "https://auth.edirepository.org/",
        "https://AUTH.edirepository.org",
        "http://auth.edirepository.org",
        " edirepository.org",
    ],
    ids=repr,
)
def test_refuses_an_edi_token_of_another_issuer_or_domain(api, name, value):
    assert is_refused(refresh(api, edi_token=edi(claims(**{name: value}))))


def test_refuses_a_token_whose_issuer_and_domain_are_exchanged(api):
    assert is_refused(refresh(api, edi_token=edi(claims(iss=claims()["hd"], hd=claims()["iss"]))))


@pytest.mark.parametrize("sub", [..., None, "", 7, True, [], {}, ["EDI-x"], "EDI-\0", "EDI-\ud800"], ids=repr)
def test_refuses_an_edi_token_without_a_subject(api, sub):
    assert is_refused(refresh(api, edi_token=edi(claims(sub=sub))))


@pytest.mark.parametrize(
    "system", ["", "x", SYSTEM + "/", SYSTEM.upper(), "https://pasta.example.org/authentication"], ids=repr
)
def test_refuses_a_pasta_token_of_another_system(api, system):
    assert is_refused(refresh(api, pasta(f"{UID}*{system}*{TTL}*authenticated")))


@pytest.mark.parametrize("payload", [b"[]", b'"x"', b"1", b"null", b"true", b"", b"{", b"\xff\xfe", b'[{"sub": "x"}]'])
def test_refuses_a_genuine_signature_over_anything_but_an_object(api, payload):
    assert is_refused(refresh(api, edi_token=edi(payload)))


def raw_signature(token):
    """The signature of `token` as bytes."""
    return base64.urlsafe_b64decode(token.rpartition(".")[2] + "==")


def with_signature(token, signature):
    """`token` with another signature."""
    return f"{token.rpartition('.')[0]}.{b64url(signature)}"


def der_signature(token):
    """The signature of `token` in the ASN.1 form that JOSE does not use."""
    raw = raw_signature(token)
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def tampered(token, **changes):
    """`token` with other claims under the old signature."""
    head, _, signature = token.split(".")
    return f"{head}.{b64url(json.dumps(claims(**changes)).encode())}.{signature}"


def signed_with(key, algorithm, **headers):
    """A token of `key` and `algorithm`."""
    return jwt.encode(claims(), key, algorithm, headers=headers)


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", None, [], ["ES256"], {"ES256": 1}, 0, True, "es256"]
)
@pytest.mark.parametrize("signature", [b"", b"\0" * 64], ids=["unsigned", "zeros"])
def test_refuses_a_token_of_no_algorithm(api, alg, signature):
    assert is_refused(refresh(api, edi_token=edi_segments({"alg": alg, "typ": "JWT"}, signature=signature)))


@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
@pytest.mark.parametrize(
    "secret",
    cases(
        edi_pem=public_bytes(EDI_KEY, Encoding.PEM),
        edi_pem_stripped=public_bytes(EDI_KEY, Encoding.PEM).strip(),
        edi_der=public_bytes(EDI_KEY, Encoding.DER),
        pasta_pem=public_bytes(PASTA_KEY, Encoding.PEM),
        pasta_der=public_bytes(PASTA_KEY, Encoding.DER),
        empty=b"",
        zero=b"\0",
    ),
)
def test_refuses_an_hmac_under_a_public_key(api, algorithm, secret):
    assert is_refused(refresh(api, edi_token=edi_hmac(secret, algorithm)))


@pytest.mark.parametrize(
    "make",
    cases(
        other_p256=lambda: signed_with(other_edi_key(), "ES256"),
        p384=lambda: signed_with(ec.generate_private_key(ec.SECP384R1()), "ES384"),
        p521=lambda: signed_with(ec.generate_private_key(ec.SECP521R1()), "ES512"),
        k256=lambda: signed_with(ec.generate_private_key(ec.SECP256K1()), "ES256K"),
        pasta_rs256=lambda: signed_with(PASTA_KEY, "RS256"),
        pasta_ps256=lambda: signed_with(PASTA_KEY, "PS256"),
    ),
)
def test_refuses_a_token_of_another_key(api, make):
    assert is_refused(refresh(api, edi_token=make()))


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "ES384", "ES256K", "EdDSA"])
def test_refuses_a_genuine_signature_under_the_name_of_another_algorithm(api, alg):
    head = edi_segments({"alg": alg, "typ": "JWT"}).rpartition(".")[0]
    der = EDI_KEY.sign(head.encode(), ec.ECDSA(hashes.SHA256()))
    assert is_refused(refresh(api, edi_token=f"{head}.{b64url(der)}"))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": SECONDS + 9 * HOURS_8},
        {"sub": edi_id("other")},
        {"principals": [edi_id("admins")]},
        {"idpUid": "uid=other"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_refuses_a_tampered_token(api, changes):
    assert is_refused(refresh(api, edi_token=tampered(edi(), **changes)))


@pytest.mark.parametrize(
    "change",
    cases(
        none=lambda token: with_signature(token, b""),
        zeros=lambda token: with_signature(token, b"\0" * 64),
        order_of_the_curve=lambda token: with_signature(
            token, bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") * 2
        ),
        halves_exchanged=lambda token: with_signature(token, raw_signature(token)[32:] + raw_signature(token)[:32]),
        cut=lambda token: with_signature(token, raw_signature(token)[:-1]),
        longer=lambda token: with_signature(token, raw_signature(token) + b"\0"),
        der=lambda token: with_signature(token, der_signature(token)),
        of_another_token=lambda token: with_signature(token, raw_signature(edi(claims(cn="Other")))),
        padded=lambda token: token + "==",
        junk=lambda token: token + "!!!!",
        spaces=lambda token: token.replace(".", ". "),
        space_before=lambda token: " " + token,
        space_after=lambda token: token + " ",
        quoted=lambda token: f'"{token}"',
        bearer=lambda token: "Bearer " + token,
        standard_alphabet=lambda token: token[:-4] + "+/+/",
        unused_bits=lambda token: token[:-1] + ("B" if token[-1] in "AQgw" else "A"),
        fourth_part=lambda token: token + ".e30",
        five_parts=lambda token: token + "..",
        two_parts=lambda token: token.rpartition(".")[0],
        one_part=lambda token: token.partition(".")[0],
        dots=lambda token: "..",
        no_header=lambda token: token[token.index(".") :],
        no_payload=lambda token: f"{token.split('.')[0]}..{token.split('.')[2]}",
        json_serialisation=lambda token: json.dumps(
            dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))
        ),
        non_ascii=lambda token: token + "é",
        fullwidth=lambda token: token.replace(".", "．"),  # noqa: RUF001 — a dot that is none
        word=lambda token: "x",
        long=lambda token: "x" * 50_000,
        dotted=lambda token: "." * 50_000,
    ),
)
def test_refuses_a_token_in_any_other_shape(api, change):
    assert is_refused(refresh(api, edi_token=change(edi())))


@pytest.mark.parametrize(
    "header",
    cases(
        array=b"[]",
        text=b'"ES256"',
        null=b"null",
        number=b"1" * 5000,
        empty=b"",
        not_json=b"{",
        not_utf8=b'{"alg": "\xff"}',
        deep=b"[" * 20_000,
        deep_member=b'{"alg": "ES256", "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        kid_number={"alg": "ES256", "kid": 1},
        kid_list={"alg": "ES256", "kid": ["../../etc/passwd"]},
        detached={"alg": "ES256", "b64": False, "crit": ["b64"]},
        crit_number={"alg": "ES256", "b64": False, "crit": 1},
        unsigned={"alg": "ES256"},
    ),
)
def test_refuses_a_token_with_any_other_header(api, header):
    assert is_refused(refresh(api, edi_token=edi_segments(header, signature=b"\1" * 64)))


def public_jwk(key):
    """The public half of `key` as a JWK."""
    return json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))


@pytest.mark.parametrize(
    "headers",
    cases(
        jwk=lambda: {"jwk": public_jwk(other_edi_key())},
        jwk_and_kid=lambda: {"jwk": public_jwk(other_edi_key()) | {"kid": "mine"}, "kid": "mine"},
        jku=lambda: {"jku": "https://attacker.example/jwks.json", "kid": "mine"},
        x5u=lambda: {"x5u": "https://attacker.example/cert.pem"},
        x5c=lambda: {"x5c": [base64.b64encode(public_bytes(other_edi_key(), Encoding.DER)).decode()]},
        kid_path=lambda: {"kid": "../../../../dev/null"},
        kid_sql=lambda: {"kid": "' UNION SELECT 'key' --"},
        kid_empty=lambda: {"kid": ""},
        kid_genuine=lambda: {"kid": jwt.get_unverified_header(services.ring().sign({}))["kid"]},
    ),
)
def test_lets_no_header_choose_a_key(api, headers):
    assert is_refused(refresh(api, edi_token=edi(key=other_edi_key(), headers=headers())))


def test_does_not_need_a_key_id(api):
    assert refresh(api, edi_token=edi(headers={"kid": "of another implementation"})).status_code == 200


@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["https://example.org/x"], [], "exp"], ids=repr)
def test_refuses_a_genuine_token_that_asks_for_what_is_not_understood(api, crit):
    assert is_refused(refresh(api, edi_token=edi(headers={"crit": crit, "exp": 1, "https://example.org/x": 1})))


@pytest.mark.parametrize(
    "make",
    cases(
        other_key=lambda: pasta(key=other_pasta_key()),
        sha1=lambda: pasta(algorithm=hashes.SHA1()),  # noqa: S303 — what must be refused
        sha256=lambda: pasta(algorithm=hashes.SHA256()),
        pss=lambda: pasta(pad=padding.PSS(padding.MGF1(hashes.SHA256()), 32), algorithm=hashes.SHA256()),
        over_the_text=lambda: (
            base64.b64encode(pasta_text().encode()).decode()
            + "-"
            + base64.b64encode(PASTA_KEY.sign(pasta_text().encode(), padding.PKCS1v15(), hashes.MD5())).decode()  # noqa: S303 — the format
        ),
        of_another_text=lambda: pasta().partition("-")[0] + "-" + pasta(pasta_text("uid=other")).partition("-")[2],
        tampered=lambda: pasta(pasta_text("uid=other")).partition("-")[0] + "-" + pasta().partition("-")[2],
        zeros=lambda: pasta().partition("-")[0] + "-" + base64.b64encode(b"\0" * 256).decode(),
        one=lambda: pasta().partition("-")[0] + "-" + base64.b64encode(b"\0" * 255 + b"\1").decode(),
        modulus=lambda: (
            pasta().partition("-")[0]
            + "-"
            + base64.b64encode(PASTA_KEY.public_key().public_numbers().n.to_bytes(256, "big")).decode()
        ),
        cut=lambda: pasta().partition("-")[0] + "-" + base64.b64encode(signature_of(pasta())[:-1]).decode(),
        longer=lambda: pasta().partition("-")[0] + "-" + base64.b64encode(b"\0" + signature_of(pasta())).decode(),
        small_key=lambda: pasta(key=rsa.generate_private_key(65537, 1024)),  # noqa: S505 — what must be refused
    ),
)
def test_refuses_a_forged_pasta_token(api, make):
    assert is_refused(refresh(api, make()))


def signature_of(token):
    """The signature of a PASTA token as bytes."""
    return base64.b64decode(token.partition("-")[2])


@pytest.mark.parametrize(
    "change",
    cases(
        no_signature=lambda token: token.partition("-")[0],
        empty_signature=lambda token: token.partition("-")[0] + "-",
        no_text=lambda token: "-" + token.partition("-")[2],
        dash=lambda token: "-",
        dashes=lambda token: "-" * 5000,
        word=lambda token: "x",
        text_itself=lambda token: pasta_text(),
        two_dashes=lambda token: token.replace("-", "--"),
        third_part=lambda token: token + "-" + token.partition("-")[2],
        unpadded=lambda token: token.rstrip("="),
        padded=lambda token: token + "====",
        inner_padding=lambda token: token.replace("-", "=-"),
        junk=lambda token: token + "!!!!",
        spaces=lambda token: token.replace("-", " - "),
        space_after=lambda token: token + " ",
        space_before=lambda token: " " + token,
        url_alphabet=lambda token: token[:60] + token[60:].replace("+", "-").replace("/", "_"),
        non_ascii=lambda token: token + "é",
        fullwidth=lambda token: token.replace("-", "－"),  # noqa: RUF001 — a dash that is none
        quoted=lambda token: f'"{token}"',
        long=lambda token: "A" * 50_000,
        long_text=lambda token: "A" * 50_000 + "-" + token.partition("-")[2],
    ),
)
def test_refuses_a_pasta_token_in_any_other_shape(api, change):
    assert is_refused(refresh(api, change(pasta())))


def with_unused_bits(encoded):
    """Base64 that decodes to the same bytes, though no encoder writes it."""
    stem = encoded.rstrip("=")
    assert stem != encoded
    return encoded.replace(stem, stem[:-1] + chr(ord(stem[-1]) + 1))


@pytest.mark.parametrize(
    "change",
    cases(
        unused_bits=with_unused_bits,
        unpadded=lambda encoded: encoded.rstrip("="),
        padded=lambda encoded: encoded + "====",
        junk=lambda encoded: "!" + encoded,
        space=lambda encoded: encoded[:8] + " " + encoded[8:],
        url_alphabet=lambda encoded: encoded.replace("/", "_"),
        twice=lambda encoded: encoded + encoded,
    ),
)
def test_refuses_a_genuine_signature_over_base64_that_no_encoder_writes(api, change):
    encoded = base64.b64encode(pasta_text(UID, 1, "a", "??~").encode()).decode()
    encoded = base64.b64encode(pasta_text(UID, 1, "žluť??>").encode()).decode()
    assert change(encoded) != encoded
    assert is_refused(refresh(api, pasta_over(change(encoded))))


def test_refuses_a_signature_whose_unused_bits_are_set(api):
    text, signature = pasta().split("-")
    assert is_refused(refresh(api, f"{text}-{with_unused_bits(signature)}"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t", "\x1b", "\x7f", "\x85", "\u2028"], ids=repr)
def test_refuses_a_token_with_more_than_itself(api, end):
    for changed in (lambda token: token + end, lambda token: end + token, lambda token: token[:9] + end + token[9:]):
        assert is_refused(refresh(api, changed(pasta())))
        assert is_refused(refresh(api, edi_token=changed(edi())))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "**",
        "***",
        UID,
        f"{UID}*{SYSTEM}",
        f"{UID}*{TTL}",
        f"*{SYSTEM}*{TTL}*authenticated",
        f"{UID}*{SYSTEM}*{TTL}*",
        f"{UID}*{SYSTEM}**authenticated",
        f"{UID}**{SYSTEM}*{TTL}*authenticated",
        f"*{UID}*{SYSTEM}*{TTL}*authenticated",
        f"{UID}*x*{SYSTEM}*{TTL}*authenticated",
        f"{UID}*{SYSTEM}*-1*authenticated",
        f"{UID}*{SYSTEM}*+1*authenticated",
        f"{UID}*{SYSTEM}* 1*authenticated",
        f"{UID}*{SYSTEM}*1 *authenticated",
        f"{UID}*{SYSTEM}*01*authenticated",
        f"{UID}*{SYSTEM}*1.0*authenticated",
        f"{UID}*{SYSTEM}*1e3*authenticated",
        f"{UID}*{SYSTEM}*0x1*authenticated",
        f"{UID}*{SYSTEM}*1_000*authenticated",
        f"{UID}*{SYSTEM}*١٢٣*authenticated",
        f"{UID}*{SYSTEM}*²*authenticated",
        f"{UID}*{SYSTEM}*ttl*authenticated",
        f"{UID}*{SYSTEM}*{'9' * 5000}*authenticated",
        f"{UID}*{SYSTEM}*{TTL}\n*authenticated",
        f"{UID}*{SYSTEM}*{TTL}*authenticated\n",
        f"{UID}\n*{SYSTEM}*{TTL}*authenticated",
        f"{UID}*{SYSTEM}*{TTL}*authen\rticated",
        f"{UID}\0*{SYSTEM}*{TTL}*authenticated",
        f"{UID}*{SYSTEM}*{TTL}*auth\x7fenticated",
        f"{UID}*{SYSTEM}*{TTL}*authenticated".encode("utf-16"),
        f"{UID}*{SYSTEM}*{TTL}*\xff".encode("latin-1"),
    ],
    ids=lambda text: repr(text)[:60],
)
def test_refuses_a_genuine_signature_over_another_text(api, text):
    assert is_refused(refresh(api, pasta(text)))


def test_refuses_tokens_in_each_others_fields(api):
    assert is_refused(refresh(api, edi(), pasta()))


def test_refuses_the_same_token_twice(api):
    assert is_refused(refresh(api, pasta(), pasta()))
    assert is_refused(refresh(api, edi(), edi()))


@pytest.mark.parametrize(
    ("uid", "own"),
    [
        pytest.param("uid=jane", {"idpUid": "uid=jane"}, id="idpUid"),
        pytest.param("jane@example.org", {"email": "jane@example.org"}, id="email"),
        pytest.param("jane@gmail.example", {"links": [edi_id("jane@gmail.example")]}, id="link"),
        pytest.param("uid=jane", {"links": [edi_id("x"), edi_id("uid=jane"), 7]}, id="one-of-the-links"),
        pytest.param("uid=jane", {"links": ["uid=jane"]}, id="link-as-uid"),
        pytest.param("uid=žofie", {"idpUid": "uid=žofie"}, id="non-ascii"),
    ],
)
def test_renews_two_tokens_of_one_identity(api, uid, own):
    token = edi(claims(**({"idpUid": "uid=x", "email": "x@example.org", "links": []} | own)))
    body = refresh(api, pasta(pasta_text(uid)), token).json()
    assert read_pasta(body["pasta-token"])[0] == uid


def test_renews_the_public_token_of_a_group(api):
    response = refresh(api, pasta(f"public*{SYSTEM}*1"), edi(group_claims()))
    assert read_pasta(response.json()["pasta-token"]) == ["public", SYSTEM, TTL]


@pytest.mark.parametrize(
    "uid",
    [
        "uid=other,o=EDI,dc=edirepository,dc=org",
        UID.upper(),
        UID[:-1],
        UID + "x",
        " " + UID,
        UID + " ",
        "field notes",
        "Fieldnotes@example.org",
        "fieldnotes@example.or",
        VECTORS["edi"]["claims"]["sub"],
        VECTORS["edi"]["claims"]["principals"][0],
        "Field Notes",
        "public",
        "Public",
        "authenticated",
        "vetted",
        "None",
        "null",
        "[]",
        "ldap",
    ],
)
def test_forbids_the_pasta_token_of_anybody_else(api, uid):
    assert is_refused(refresh(api, pasta(pasta_text(uid)), edi()), 403)


@pytest.mark.parametrize("uid", [UID, "authenticated", "vetted", "group", "Group", edi_id("a group"), "Public"])
def test_forbids_any_but_the_public_pasta_token_with_the_token_of_a_group(api, uid):
    assert is_refused(refresh(api, pasta(pasta_text(uid)), edi(group_claims())), 403)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"idpUid": "public"},
        {"email": "public"},
        {"links": ["public", edi_id("public")]},
        {"sub": edi_id("public")},
        {"idpName": "Group"},
        {"idpName": ["group"]},
        {"idpName": ...},
    ],
    ids=str,
)
def test_forbids_the_public_pasta_token_with_the_token_of_a_person(api, changes):
    assert is_refused(refresh(api, pasta(f"public*{SYSTEM}*{TTL}"), edi(claims(**changes))), 403)


def test_forbids_the_public_vector_with_the_token_of_a_person(api):
    assert is_refused(refresh(api, VECTORS["pasta"][2]["token"], VECTORS["edi"]["token"]), 403)


@pytest.mark.parametrize(
    "ill_typed",
    [
        *({"links": links} for links in (UID, {UID: 1}, None, 7, [[UID], {UID: UID}, None], ...)),
        *({"email": email} for email in ([UID], None, ...)),
        *({"idpUid": uid} for uid in ([UID], {UID: UID}, None, ...)),
    ],
    ids=str,
)
def test_forbids_a_match_with_ill_typed_claims(api, ill_typed):
    own = {"idpUid": "uid=other", "links": []}
    assert is_refused(refresh(api, pasta(), edi(claims(**(own | ill_typed)))), 403)


def test_revives_nobodys_dead_pasta_token_with_ones_own_edi_token(api):
    dead = pasta(pasta_text("uid=victim,o=EDI,dc=edirepository,dc=org", 1558090703946))
    assert is_refused(refresh(api, dead, edi()), 403)


def locked_profile(actor):
    services.set_locked(ProfileFactory(idp_uid=UID), True, actor=actor)
    return refresh_of_person


def locked_google_profile(actor):
    profile = ProfileFactory(idp="google", idp_uid="1178", email="jane@gmail.example")
    services.set_locked(profile, True, actor=actor)
    own = claims(sub=profile.edi_id, idpName="google", idpUid="jane@gmail.example", email="jane@gmail.example")
    return lambda api: refresh(api, pasta(pasta_text("jane@gmail.example")), edi(own))


def locked_google_profile_beside_an_ldap_one(actor):
    services.set_locked(ProfileFactory(idp="google", idp_uid="1178", email="jane@gmail.example"), True, actor=actor)
    return lambda api: refresh(api, pasta(pasta_text("jane@gmail.example")), edi(claims(email="jane@gmail.example")))


def locked_link(actor):
    linked = ProfileFactory(idp_uid="uid=linked")
    services.set_locked(linked, True, actor=actor)
    return lambda api: refresh(api, pasta(pasta_text("uid=linked")), edi(claims(links=[linked.edi_id])))


def locked_group(actor):
    group = GroupFactory()
    services.set_locked(group, True, actor=actor)
    return lambda api: refresh(api, pasta(f"public*{SYSTEM}*{TTL}"), edi(group_claims() | {"sub": group.edi_id}))


def ended_tokens(actor):
    services.end_tokens(ProfileFactory(idp_uid=UID), actor=actor, now=NOW + timedelta(seconds=1))
    return refresh_of_person


def ended_within_the_second(actor):
    services.end_tokens(ProfileFactory(idp_uid=UID), actor=actor, now=NOW + timedelta(milliseconds=1))
    return refresh_of_person


def ended_group_tokens(actor):
    group = GroupFactory()
    services.end_tokens(group, actor=actor, now=NOW + timedelta(seconds=1))
    return lambda api: refresh(api, pasta(f"public*{SYSTEM}*{TTL}"), edi(group_claims() | {"sub": group.edi_id}))


def refresh_of_person(api):
    return refresh(api)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "end",
    [
        locked_profile,
        locked_google_profile,
        locked_google_profile_beside_an_ldap_one,
        locked_link,
        locked_group,
        ended_tokens,
        ended_group_tokens,
        ended_within_the_second,
    ],
)
def test_forbids_what_was_ended_once_the_snapshot_knows(api, actor, snapshot, end):
    ask = end(actor)
    assert ask(api).status_code == 200
    snapshot.renew()
    assert is_refused(ask(api), 403)


@pytest.mark.django_db
def test_renews_again_after_the_lock_is_taken_away(api, actor, snapshot):
    profile = ProfileFactory(idp_uid=UID, locked_at=NOW)
    snapshot.renew()
    assert refresh(api).status_code == 403
    services.set_locked(profile, False, actor=actor)
    snapshot.renew()
    assert refresh(api).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("times", "status"),
    [
        ({"iat": SECONDS - 1}, 403),
        ({"iat": SECONDS - 0.001}, 403),
        ({"nbf": SECONDS - 1}, 403),
        ({"nbf": SECONDS - 1, "iat": SECONDS + 60}, 403),
        ({"nbf": SECONDS - 0.001, "iat": SECONDS}, 403),
        ({"nbf": SECONDS, "iat": SECONDS - 1}, 403),
        ({"nbf": SECONDS, "iat": SECONDS + 60}, 200),
        ({"iat": SECONDS + 60}, 200),
        ({"iat": SECONDS + 3600}, 200),
    ],
    ids=str,
)
def test_forbids_tokens_from_before_their_revocation_alone(api, snapshot, times, status):
    ProfileFactory(idp_uid=UID, tokens_valid_after=NOW)
    snapshot.renew()
    assert refresh(api, edi_token=edi(claims(**times))).status_code == status


@pytest.mark.django_db
@pytest.mark.parametrize(("iat", "status"), [(SECONDS - 1, 403), (SECONDS, 200)])
def test_judges_a_token_without_a_beginning_by_when_it_was_made(api, snapshot, iat, status):
    ProfileFactory(idp_uid=UID, tokens_valid_after=NOW)
    snapshot.renew()
    without = {name: value for name, value in claims(iat=iat).items() if name != "nbf"}
    assert refresh(api, edi_token=edi(without)).status_code == status


@pytest.mark.django_db
def test_leaves_everybody_else_alone(api, snapshot):
    ProfileFactory(locked_at=NOW, tokens_valid_after=NOW + timedelta(days=1))
    GroupFactory(locked_at=NOW)
    snapshot.renew()
    assert refresh(api).status_code == 200


@pytest.mark.django_db
def test_does_not_judge_a_person_by_a_locked_group(api, snapshot):
    GroupFactory(locked_at=NOW).members.add(ProfileFactory(idp_uid=UID))
    snapshot.renew()
    assert refresh(api).status_code == 200


@pytest.mark.django_db
def test_renews_the_tokens_of_an_exchange_after_the_revocation(api, actor, clock, snapshot):
    key = ApiKeyFactory()
    services.end_tokens(key.owner, actor=actor)
    snapshot.renew()
    clock.shift(60)
    tokens = api.call("POST", KEY, {"key": secret_of(key)}).json()
    assert refresh(api, tokens["pasta-token"], tokens["edi-token"]).status_code == 200


@pytest.mark.django_db
def test_lets_nobody_outrun_a_revocation_by_a_refresh_before_the_snapshot_knows(api, actor, clock, snapshot):
    profile = ProfileFactory(idp_uid=UID)
    clock.shift(600)
    snapshot.renew()
    clock.shift(1)
    services.end_tokens(profile, actor=actor)
    clock.shift(1)
    body = refresh(api).json()
    clock.shift(1)
    snapshot.renew()
    assert is_refused(refresh(api, body["pasta-token"], body["edi-token"]), 403)


@pytest.mark.django_db
def test_lets_nobody_outrun_a_revocation_that_is_committed_a_moment_after_its_time(api, actor, clock, snapshot):
    profile = ProfileFactory(idp_uid=UID)
    clock.shift(600.5)
    snapshot.renew()
    services.end_tokens(profile, actor=actor, now=NOW + timedelta(seconds=600))
    clock.shift(1)
    body = refresh(api).json()
    clock.shift(1)
    snapshot.renew()
    assert is_refused(refresh(api, body["pasta-token"], body["edi-token"]), 403)


@pytest.mark.django_db
def test_lets_nobody_outrun_a_revocation_that_comes_to_be_known_meanwhile(api, actor, clock, snapshot, monkeypatch):
    profile, judge, judged = ProfileFactory(idp_uid=UID), snapshot.check, []
    snapshot.renew()
    clock.shift(600)

    def check(principal, issued_at):
        judge(principal, issued_at)
        judged.append(principal)
        if len(judged) == 2:
            services.end_tokens(profile, actor=actor)
            clock.shift(1)
            snapshot.renew()

    monkeypatch.setattr(snapshot, "check", check)
    body = refresh(api).json()
    assert len(judged) == 2
    assert is_refused(refresh(api, body["pasta-token"], body["edi-token"]), 403)


@pytest.mark.django_db
def test_counts_from_now_what_begins_when_revocations_are_known(api, clock, snapshot):
    snapshot.renew()
    clock.shift(60)
    snapshot.renew()
    clock.shift(1)
    renewed = read_edi(refresh(api).json()["edi-token"])
    assert (renewed["iat"], renewed["exp"]) == (SECONDS + 61, SECONDS + 61 + HOURS_8)
    assert renewed["nbf"] == int(snapshot.known_until) == SECONDS + 50


@pytest.mark.django_db
def test_gives_no_token_an_earlier_beginning_than_it_had(api, clock, snapshot):
    snapshot.renew()
    clock.shift(60)
    token = edi(claims(iat=SECONDS + 60, nbf=SECONDS + 60))
    for _ in range(3):
        token = refresh(api, edi_token=token).json()["edi-token"]
        clock.shift(1)
        assert read_edi(token)["nbf"] == SECONDS + 60


@pytest.fixture
def retired(tmp_path, settings):
    """Keys that sign no more, beside the active ones: tokens of theirs verify still."""
    for name, active, old in (("EDI_JWT", EDI_KEY, other_edi_key()), ("PASTA", PASTA_KEY, other_pasta_key())):
        stem = "edi" if name == "EDI_JWT" else "pasta"
        (tmp_path / f"{stem}.pem").write_bytes(private_pem(active))
        (tmp_path / f"{stem}.2026.pem").write_bytes(public_bytes(old, Encoding.PEM))
        setattr(settings, f"{name}_PRIVATE_KEY_PATH", tmp_path / f"{stem}.pem")


@pytest.mark.usefixtures("retired")
@pytest.mark.parametrize("headers", [None, {"kid": "none of them"}], ids=["no-kid", "other-kid"])
def test_renews_tokens_of_a_retired_key_with_the_active_one(api, headers):
    body = refresh(api, pasta(key=other_pasta_key()), edi(key=other_edi_key(), headers=headers)).json()
    assert read_edi(body["edi-token"]) == claims()
    assert read_pasta(body["pasta-token"])[0] == UID


@pytest.mark.usefixtures("retired")
@pytest.mark.parametrize("kid", ["x", 1, [], None, "../edi.2026.pem"], ids=repr)
def test_refuses_a_key_that_was_never_ours_beside_retired_ones(api, kid):
    stranger = ec.generate_private_key(ec.SECP256R1())
    token = edi_segments({"alg": "ES256", "kid": kid}).rpartition(".")[0]
    signed = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(token.encode(), stranger)
    assert is_refused(refresh(api, edi_token=f"{token}.{b64url(signed)}"))


@pytest.fixture
def limited(settings):
    """Sessions that last a day."""
    settings.EDI_MAX_SESSION_HOURS = 24


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("began", [{"auth_time": SECONDS}, {"iat": SECONDS}], ids=["auth_time", "iat"])
def test_ends_both_tokens_with_the_session(api, clock, began):
    clock.shift(20 * 3600)
    body = refresh(api, edi_token=edi(claims(exp=SECONDS + 30 * 3600) | began)).json()
    renewed = read_edi(body["edi-token"])
    assert (renewed["auth_time"], renewed["exp"]) == (SECONDS, SECONDS + 24 * 3600)
    assert read_pasta(body["pasta-token"])[2] == str((SECONDS + 24 * 3600) * 1000)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(("hours", "status"), [(24 - 1 / 3600, 200), (24, 401), (25, 401)])
def test_renews_nothing_once_the_session_is_over(api, clock, hours, status):
    clock.shift(hours * 3600)
    assert refresh(api, edi_token=edi(claims(exp=SECONDS + 30 * 3600, auth_time=SECONDS))).status_code == status


@pytest.mark.usefixtures("limited")
def test_lets_nobody_outlive_a_session_by_refreshing(api, clock):
    body = refresh(api).json()
    for _ in range(3):
        clock.shift(7 * 3600)
        body = refresh(api, body["pasta-token"], body["edi-token"]).json()
    clock.shift(3 * 3600)
    assert is_refused(refresh(api, body["pasta-token"], body["edi-token"]))


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    "auth_time", ["x", None, True, [], {}, 10**400, -1, -(10**400)], ids=lambda value: repr(value)[:20]
)
def test_answers_any_beginning_of_a_session_without_an_error_of_its_own(api, auth_time):
    api.raise_request_exception = False
    assert refresh(api, edi_token=edi(claims(auth_time=auth_time))).status_code in {200, 401}
