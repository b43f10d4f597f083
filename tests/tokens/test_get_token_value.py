"""GET /_/token/value (the Token document, "GET Value")."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from tests.factories import NamedTokenFactory, value_of
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

PAST = datetime(2020, 1, 1, tzinfo=UTC)


def read(api, bearer, name):
    return api.call("GET", f"/_/token/value?name={quote(name, safe='')}", bearer=bearer)


def test_answers_with_the_value_and_nothing_else(api, bearer):
    value = value_of(NamedTokenFactory(name="example"))
    response = read(api, bearer, "example")
    assert response.status_code == 200
    assert response.json() == {"data": [{"token": value}]}


def test_answers_with_the_value_that_post_gave(api, bearer):
    created = api.call("POST", "/_/token", {"name": "example"}, bearer=bearer).json()["data"][0]
    assert read(api, bearer, "example").json()["data"][0]["token"] == created["token"]


@pytest.mark.parametrize("name", ["a&b=c", "größe \N{PARTY POPPER}", "100% + 1", "../value", " ", "x" * 255])
def test_finds_any_name_that_is_encoded_as_urls_want_it(api, bearer, name):
    value = value_of(NamedTokenFactory(name=name))
    assert read(api, bearer, name).json() == {"data": [{"token": value}]}


@pytest.mark.parametrize("fields", [{"is_active": False}, {"expires_at": PAST}, {"can_write": False}])
def test_reads_a_token_in_whatever_state(api, bearer, fields):
    value = value_of(NamedTokenFactory(name="example", **fields))
    assert read(api, bearer, "example").json() == {"data": [{"token": value}]}


def test_reads_the_token_that_has_the_name_now(api, bearer):
    NamedTokenFactory(name="example", revoked_at=PAST)
    value = value_of(NamedTokenFactory(name="example"))
    assert read(api, bearer, "example").json() == {"data": [{"token": value}]}


@pytest.mark.parametrize("query", ["", "?", "?name", "?name=", "?Name=example", "?names=example"])
def test_refuses_a_request_without_a_name(api, bearer, query):
    NamedTokenFactory(name="example")
    response = api.call("GET", f"/_/token/value{query}", bearer=bearer)
    assert response.status_code == 400
    assert response.json()["error"].startswith("name: ")


@pytest.mark.parametrize("path", ["/_/token/value", "/_/token/rotate"])
@pytest.mark.parametrize("query", ["?name=example&name=other", "?name=example&name=example"])
def test_refuses_a_name_that_is_repeated(api, bearer, path, query):
    for name in ("example", "other"):
        NamedTokenFactory(name=name)
    response = api.call("GET", f"{path}{query}", bearer=bearer)
    assert response.status_code == 400
    assert response.json() == {"error": "name: must not be repeated."}


@pytest.mark.parametrize("name", ["exmaple", "Example", "example ", "examp%"])
def test_refuses_an_unknown_name(api, bearer, name):
    NamedTokenFactory(name="example")
    response = read(api, bearer, name)
    assert response.status_code == 404
    assert response.json() == {"error": f"There is no token named {name!r}."}


def test_refuses_a_revoked_token(api, bearer):
    NamedTokenFactory(name="example", revoked_at=PAST)
    assert read(api, bearer, "example").status_code == 404


@pytest.mark.parametrize("name", ["writer", "reader"])
def test_refuses_a_read_token_even_its_own_value(api, db, name):
    NamedTokenFactory(name="writer")
    reader = value_of(NamedTokenFactory(name="reader", can_write=False))
    response = read(api, reader, name)
    assert response.status_code == 403
    assert response.json() == {"error": "This token has no write permission."}


def test_records_who_read_it_and_not_what(api, bearer):
    token = NamedTokenFactory(name="example")
    read(api, bearer, "example")
    event = AuditEvent.objects.get()
    assert event.action == "tokens:named_token:read_value"
    assert (event.object_id, event.actor_kind, event.actor_label) == (str(token.pk), "named_token", "bearer")
    assert value_of(token) not in str((event.before, event.after, event.reason))


def test_records_no_reading_that_failed(api, bearer):
    read(api, bearer, "example")
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_refuses_another_method(api, bearer, method):
    response = api.call(method, "/_/token/value?name=bearer", {"name": "bearer"}, bearer=bearer)
    assert response.status_code == 405
    assert response.json() == {"error": f'Method "{method}" not allowed.'}
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
