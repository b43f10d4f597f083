"""POST /_/token (the Token document, "POST")."""

import uuid
from datetime import UTC, datetime

import pytest

from tests.client import FORM
from tests.factories import NamedTokenFactory, value_of
from tests.tokens.tools import decode_jws
from tokens.dialect import milliseconds
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 1, 15, 12, 0, 0, 123456, tzinfo=UTC)
EXAMPLE = {"name": "example", "expiration_date": 1632960000000, "active": True, "write": True}


def created(api, bearer, **fields):
    response = api.call("POST", "/_/token", {"name": "example", **fields}, bearer=bearer)
    assert response.status_code == 201, response.content
    (row,) = response.json()["data"]
    return row


def test_answers_201_with_the_row_and_its_value(api, bearer, time_machine):
    time_machine.move_to(NOW, tick=False)
    row = created(api, bearer)
    value = row.pop("token")
    assert row == {
        "name": "example",
        "expiration_date": milliseconds(NOW),
        "active": True,
        "write": True,
        "state": "active",
        "created_at": milliseconds(NOW),
        "updated_at": milliseconds(NOW),
        "last_used_at": None,
    }
    assert value == value_of(NamedToken.objects.get(name="example"))


def test_signs_a_value_with_the_documented_claims(api, bearer, settings, time_machine):
    time_machine.move_to(NOW, tick=False)
    value = created(api, bearer, expiration_date=milliseconds(NOW) + 1000)["token"]
    header, claims = decode_jws(value, secret=settings.TOKENS_SECRET_KEY)
    assert header["alg"] == "HS256"
    assert list(claims) == ["sub", "iat", "iss"]
    assert uuid.UUID(claims["sub"]).version == 4
    assert claims["iat"] == int(NOW.timestamp())
    assert claims["iss"] == "token"


def test_makes_a_value_that_opens_the_door_at_once(api, bearer):
    assert api.call("GET", "/_/token", bearer=created(api, bearer)["token"]).status_code == 200


def test_never_makes_a_value_twice(api, bearer):
    values = {created(api, bearer, name=f"example-{n}")["token"] for n in range(5)}
    assert len(values) == 5


def test_takes_the_example_of_the_document_whose_date_is_past(api, bearer):
    row = created(api, bearer, **EXAMPLE)
    assert row["expiration_date"] == 1632960000000
    assert row["state"] == "expired"
    assert api.call("GET", "/_/token", bearer=row["token"]).status_code == 401


@pytest.mark.parametrize("fields", [{}, {"expiration_date": None}], ids=["absent", "null"])
def test_makes_a_token_that_does_not_expire(api, bearer, fields):
    row = created(api, bearer, **fields)
    assert row["expiration_date"] == row["updated_at"]
    assert row["state"] == "active"
    assert NamedToken.objects.get(name="example").expires_at is None


@pytest.mark.parametrize("moment", [10**11, 1632960000001, 1632960000001.0, 1e12, 253402300799999.0])
def test_keeps_an_expiry_to_the_millisecond(api, bearer, moment):
    assert created(api, bearer, expiration_date=moment)["expiration_date"] == moment
    listed = api.call("GET", "/_/token", bearer=bearer).json()["data"][-1]
    assert listed["expiration_date"] == moment


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize("can_write", [True, False])
def test_stores_both_switches(api, bearer, is_active, can_write):
    row = created(api, bearer, active=is_active, write=can_write)
    assert (row["active"], row["write"]) == (is_active, can_write)
    assert row["state"] == ("active" if is_active else "inactive")
    token = NamedToken.objects.get(name="example")
    assert (token.is_active, token.can_write) == (is_active, can_write)


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "x" * 255,
        "\N{PARTY POPPER}" * 255,
        " ",
        " led and trailed ",
        "a/b?c=d&e=f#g%00+h",
        "Grüße, Καλημέρα, こんにちは",
        "e\N{COMBINING ACUTE ACCENT}",
        "line\N{LINE SEPARATOR}separator",
        "\N{RIGHT-TO-LEFT OVERRIDE}eman",
        "'; DROP TABLE tokens_namedtoken; --",
        '"quoted" \\ and \\u0000',
        "%s %(name)s {0} {name}",
        "null",
    ],
)
def test_keeps_a_name_as_it_came(api, bearer, name):
    assert created(api, bearer, name=name)["name"] == name
    assert api.call("GET", "/_/token", bearer=bearer).json()["data"][-1]["name"] == name


@pytest.mark.parametrize(
    "content_type",
    [
        FORM,
        "",
        "application/json",
        "text/plain; charset=latin-1",
        "multipart/form-data; boundary=x",
        "image/png",
        "nonsense",
    ],
)
def test_reads_json_whatever_its_content_type(api, bearer, content_type):
    response = api.call("POST", "/_/token", {"name": "größe"}, bearer=bearer, content_type=content_type)
    assert response.status_code == 201
    assert response.json()["data"][0]["name"] == "größe"


@pytest.mark.parametrize(
    "fields",
    [{}, {"is_active": False}, {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}],
    ids=["active", "inactive", "expired"],
)
def test_refuses_a_taken_name_and_leaves_the_stored_token_untouched(api, bearer, fields):
    token = NamedTokenFactory(name="example", **fields)
    before = NamedToken.objects.filter(pk=token.pk).values().get()
    response = api.call("POST", "/_/token", {"name": "example", "write": False, "active": True}, bearer=bearer)
    assert response.status_code == 409
    assert response.json() == {"error": "There is a token named 'example' already."}
    assert NamedToken.objects.filter(pk=token.pk).values().get() == before
    assert NamedToken.objects.filter(name="example").count() == 1
    assert not AuditEvent.objects.filter(action="tokens:named_token:mint").exists()


@pytest.mark.parametrize("name", ["Example", "example ", " example", "e\N{CYRILLIC SMALL LETTER HA}ample"])
def test_takes_a_name_that_only_looks_like_a_taken_one(api, bearer, name):
    NamedTokenFactory(name="example")
    assert created(api, bearer, name=name)["name"] == name


def test_records_who_made_it(api, bearer):
    created(api, bearer, write=False)
    event = AuditEvent.objects.get(action="tokens:named_token:mint")
    assert (event.object_label, event.actor_kind, event.actor_label) == ("example", "named_token", "bearer")
    assert event.actor_id == str(NamedToken.objects.get(name="bearer").pk)
    assert (event.channel, event.address) == ("api", "127.0.0.1")
    assert event.before == {}
    assert event.after["can_write"] is False


def test_stores_nothing_of_a_refused_request(api, bearer):
    body = {"name": "example", "expiration_dat": 1999999999999}
    assert api.call("POST", "/_/token", body, bearer=bearer).status_code == 400
    assert list(NamedToken.objects.values_list("name", flat=True)) == ["bearer"]
    assert not AuditEvent.objects.exists()
