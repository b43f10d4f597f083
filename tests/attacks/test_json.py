"""JSON that two parsers read differently (RFC 8259, sections 4, 6 and 9), in bodies and inside tokens."""

import json

import jwt
import pytest

from tests.attacks.doors import DOORS
from tests.edi_auth.forge import EDI_KEY, KEY, REFRESH, claims, edi, edi_segments
from tests.factories import NamedTokenFactory, value_of
from tests.tokens.tools import encode_jws
from tokens.models import AuditEvent, NamedToken

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SORT = "duplicate keys, huge numbers, deep nesting"
DEEP = 60_000 // 2
NESTED = {
    "lists": b"[" * DEEP + b"]" * DEEP,
    "open lists": b"[" * 60_000,
    "objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "open objects": b'{"a":' * 12_000,
    "a list in a field": b'{"name":' + b"[" * DEEP + b"]" * DEEP + b"}",
}
NUMBERS = [
    *("1" + "0" * 30, "-1" + "0" * 30, "1e400", "-1e400", "1e-400", "9223372036854775808", "18446744073709551616"),
    *(
        "1" + "0" * 5000,
        "0x10",
        "1_000_000_000_000",
        "١٧٩٩٠٦٤٠٠٠٠٠٠",
        "NaN",
        "Infinity",
        "-Infinity",
        "-0.5",
        "1.0",
        "1e9",
        "1799064000000.5",
    ),
    *("253402300800000", "99999999999", "true", '"1799064000000"', "[1799064000000]", "01799064000000", "+1"),
]
# A grace of one millisecond, or as good as none, or of eleven days: numbers of JSON all the same.
GRACES = {"1.0", "1e9", "1e-400"}
CALLS = [
    *[(method, "/_/token") for method in ("POST", "PUT", "DELETE")],
    *[("POST", path) for path in ("/_/token/rotate", KEY, REFRESH, "/introspect", "/revoke", "/auth/v1/token/EDI-0")],
]
every_call = pytest.mark.parametrize(("method", "path"), CALLS)


@every_call
@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED)
def test_refuses_a_body_that_is_too_deep(api, bearer, tried, method, path, body):
    tried()
    assert api.call(method, path, body, bearer=bearer).status_code == 400
    assert not AuditEvent.objects.exists()


@every_call
@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"a"}{"name":"b"}',
        b'{"name":"a"}\0',
        b'\xef\xbb\xbf{"name":"a"}',
        '{"name":"a"}'.encode("utf-16"),
        b'{"name":"a",}',
        b"{'name':'a'}",
        b'{"name":"a"/**/}',
        b'{"name":"\xff"}',
        b'{"name":"\xc0\xaf"}',
        b'{"name":"\xed\xa0\x80"}',
        b'{"name":"\\ud800"}',
        b'{"name":"a\nb"}',
        b'{name:"a"}',
        b'{"name":NaN}',
    ],
    ids=ascii,
)
def test_refuses_a_body_that_only_a_lenient_parser_takes(api, bearer, tried, method, path, body):
    tried()
    assert api.call(method, path, body, bearer=bearer).status_code == 400
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("number", NUMBERS, ids=lambda raw: ascii(raw)[:24])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_makes_nothing_of_a_number_that_is_no_moment(api, bearer, tried, method, number):
    tried()
    body = f'{{"name": "example", "expiration_date": {number}}}'.encode()
    assert api.call(method, "/_/token", body, bearer=bearer).status_code in {400, 404}
    assert NamedToken.objects.count() == 1


@pytest.mark.parametrize("number", NUMBERS, ids=lambda raw: ascii(raw)[:24])
def test_makes_nothing_of_a_number_that_is_no_grace(api, bearer, tried, number):
    tried()
    before = NamedToken.objects.values().get()
    body = f'{{"name": "bearer", "grace": {number}}}'.encode()
    response = api.call("POST", "/_/token/rotate", body, bearer=bearer)
    assert (response.status_code, response.json().keys()) in [(400, {"error"}), (200, {"data"})]
    changed = NamedToken.objects.values().get()["subject"] != before["subject"]
    assert changed is (response.status_code == 200) is (number in GRACES)


@pytest.mark.parametrize(
    "number",
    [
        *("0", "-1", "1" * 25, "1e3", "\uff11", "\u0663", "%00", "1;2", "0x1", "nan", "1" * 5000),
        *(f"{1:020}{'9' * 20}", f"{0:020}{'9' * 20}", f"{1:020}{'9' * 5000}"),  # small as far as twenty digits go
    ],
)
@pytest.mark.parametrize("field", ["limit", "cursor"])
def test_makes_nothing_of_a_page_that_is_no_number(api, bearer, tried, field, number):
    tried()
    status = api.call("GET", f"/_/token?{field}={number}", bearer=bearer).status_code
    assert status == (200 if (field, number) == ("cursor", "0") else 400)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"name":"first","name":"second"}', "second"),
        (b'{"name":"first","\\u006eame":"second"}', "second"),
        (b'{"name":"first","write":false,"name":"second","write":true}', "second"),
    ],
)
def test_acts_on_one_of_two_values_and_tells_which(api, bearer, tried, body, name):
    tried()
    response = api.call("POST", "/_/token", body, bearer=bearer)
    if response.status_code != 400:
        assert [row["name"] for row in response.json()["data"]] == [name]
    assert NamedToken.objects.filter(name="first").count() == 0


@pytest.mark.parametrize("dead_first", [True, False])
def test_judges_the_very_credential_that_it_acts_on(api, bearer, tried, dead_first):
    live, dead = NamedTokenFactory(), NamedTokenFactory(is_active=False)
    values = [value_of(dead), value_of(live)]
    first, second = values if dead_first else reversed(values)
    tried()
    body = f'{{"token": "{first}", "token": "{second}"}}'.encode()
    response = api.call("POST", "/introspect", body, bearer=bearer)
    assert response.status_code == 400 or response.json()["active"] is dead_first


@pytest.mark.parametrize("door", ["refresh-edi", "lock", "introspect"])
@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","alg":"ES256"}',
        b'{"alg":"ES256","alg":"none"}',
        b'{"alg":"HS256","alg":"ES256"}',
        b'{"alg":"ES256","\\u0061lg":"none"}',
        b"[" * 20_000,
        b'{"alg":' + b"[" * 20_000 + b"}",
        b'{"alg":"ES256","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"alg":"ES256","x":1' + b"0" * 5_000 + b"}",
        b'{"alg":"ES256","x":NaN}',
    ],
    ids=lambda raw: ascii(raw)[:40],
)
def test_reads_no_header_two_ways(refuses, door, header):
    for signature in (b"", b"\0" * 64):
        assert refuses(door, edi_segments(header, signature=signature))


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 20_000 + b"]" * 20_000,
        b'{"sub":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        json.dumps(claims()).encode() + b"\0",
        json.dumps(claims()).encode() * 2,
        json.dumps(claims()).encode("utf-16"),
        json.dumps(claims(exp=float("nan"))).encode(),
        json.dumps(claims(exp=float("inf"))).encode(),
        json.dumps(claims(exp=10**400)).encode(),
        json.dumps(claims(iat=-(10**400))).encode(),
        b'{"exp":1e999}',
        b"",
        b"null",
        b"[]",
    ],
    ids=lambda raw: ascii(raw)[:40],
)
def test_survives_a_payload_that_a_genuine_key_signed(refuses, payload):
    for door in ("refresh-edi", "lock", "introspect"):
        assert refuses(door, edi(payload))


@pytest.mark.parametrize(
    "payload", [b"[" * 20_000 + b"]" * 20_000, b'{"sub":1' + b"0" * 5_000 + b',"iss":"token"}', b""]
)
def test_survives_a_named_tokens_payload_that_a_genuine_secret_signed(refuses, settings, payload):
    for door in ("list", "ask", "introspect"):
        assert refuses(door, encode_jws({"alg": "HS256"}, payload, secret=settings.TOKENS_SECRET_KEY))


def test_reads_a_duplicate_claim_as_the_door_does_that_judges_it(api, bearer, tried):
    tried()
    payload = json.dumps(claims()).encode()[:-1] + b',"exp":1}'
    token = jwt.PyJWS().encode(payload, EDI_KEY, "ES256")
    opened = DOORS["refresh-edi"][0](api, token).status_code == 200
    active = api.call("POST", "/introspect", {"token": token}, bearer=bearer).json()["active"]
    assert (opened, active) == (False, False)
