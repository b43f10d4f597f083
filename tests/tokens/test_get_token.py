"""GET /_/token (the Token document, "GET")."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from tests.factories import NamedTokenFactory, value_of
from tokens.dialect import milliseconds
from tokens.models import NamedToken

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
FIELDS = ["name", "expiration_date", "active", "write", "state", "created_at", "updated_at", "last_used_at"]
NEXT = re.compile(r'<(/_/token\?[^<>]+)>; rel="next"')


def listed(api, bearer, query=""):
    response = api.call("GET", f"/_/token{query}", bearer=bearer)
    assert response.status_code == 200, response.content
    return response.json()["data"]


def names(rows):
    return [row["name"] for row in rows]


def pages(api, bearer, query):
    """The names on each page, from `query` on and along the links."""
    path, found = f"/_/token{query}", []
    while path and len(found) < 20:
        response = api.call("GET", path, bearer=bearer)
        assert response.status_code == 200, response.content
        found.append(names(response.json()["data"]))
        link = response.headers.get("Link")
        path = link and NEXT.fullmatch(link)[1]
    return found


def test_lists_all_tokens_by_creation(api, bearer):
    NamedTokenFactory(name="zebra")
    NamedTokenFactory(name="aardvark")
    assert names(listed(api, bearer)) == ["bearer", "zebra", "aardvark"]


def test_shows_each_documented_field_and_no_value(api, bearer):
    NamedTokenFactory(name="example")
    assert [list(row) for row in listed(api, bearer)] == [FIELDS, FIELDS]


def test_shows_what_is_stored(api, bearer, time_machine):
    time_machine.move_to(NOW, tick=False)
    NamedTokenFactory(
        name="example",
        can_write=False,
        expires_at=NOW + timedelta(milliseconds=7),
        created_at=NOW,
        updated_at=NOW + timedelta(seconds=1),
        last_used_at=NOW + timedelta(seconds=2),
    )
    assert listed(api, bearer)[1] == {
        "name": "example",
        "expiration_date": milliseconds(NOW) + 7,
        "active": True,
        "write": False,
        "state": "active",
        "created_at": milliseconds(NOW),
        "updated_at": milliseconds(NOW) + 1000,
        "last_used_at": milliseconds(NOW) + 2000,
    }


def test_shows_the_last_update_as_expiry_of_a_token_that_does_not_expire(api, bearer):
    NamedTokenFactory(name="example", created_at=NOW, updated_at=NOW + timedelta(hours=1))
    assert listed(api, bearer)[1]["expiration_date"] == milliseconds(NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "active"),
        ({"is_active": False}, "inactive"),
        ({"expires_at": NOW}, "expired"),
        ({"expires_at": NOW + timedelta(milliseconds=1)}, "active"),
        ({"starts_at": NOW + timedelta(milliseconds=1)}, "pending"),
        ({"is_active": False, "expires_at": NOW}, "inactive"),
    ],
)
def test_shows_the_state(api, bearer, time_machine, fields, state):
    time_machine.move_to(NOW, tick=False)
    NamedTokenFactory(name="example", **fields)
    assert listed(api, bearer)[1]["state"] == state


def test_leaves_out_what_was_revoked(api, bearer):
    NamedTokenFactory(name="gone", revoked_at=NOW)
    assert names(listed(api, bearer)) == ["bearer"]


def test_is_open_to_a_read_token(api, db):
    reader = value_of(NamedTokenFactory(name="reader", can_write=False))
    assert names(listed(api, reader)) == ["reader"]


@pytest.mark.parametrize(("seconds", "is_noted"), [(59, False), (61, True)], ids=["within a minute", "after a minute"])
def test_notes_the_use_of_the_bearer_to_the_minute(api, bearer, time_machine, seconds, is_noted):
    time_machine.move_to(NOW, tick=False)
    listed(api, bearer)
    assert listed(api, bearer)[0]["last_used_at"] == milliseconds(NOW)
    later = NOW + timedelta(seconds=seconds)
    time_machine.move_to(later, tick=False)
    listed(api, bearer)
    assert listed(api, bearer)[0]["last_used_at"] == milliseconds(later if is_noted else NOW)


def test_lists_at_most_as_many_as_asked_for(api, bearer):
    NamedTokenFactory.create_batch(3)
    assert len(listed(api, bearer, "?limit=2")) == 2


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, [1] * 6), (2, [2, 2, 2]), (4, [4, 2]), (5, [5, 1]), (6, [6]), (1000, [6])]
)
def test_leads_through_all_pages_by_its_links(api, bearer, limit, sizes):
    NamedTokenFactory.create_batch(5)
    found = pages(api, bearer, f"?limit={limit}")
    assert [len(page) for page in found] == sizes
    assert [name for page in found for name in page] == list(NamedToken.objects.values_list("name", flat=True))


@pytest.mark.parametrize("query", ["", "?limit=2", "?limit=3", "?after=bearer"])
def test_links_to_no_page_behind_the_last(api, bearer, query):
    NamedTokenFactory()
    assert "Link" not in api.call("GET", f"/_/token{query}", bearer=bearer).headers


@pytest.mark.parametrize("name", ["a&limit=1", "größe \N{PARTY POPPER}", '>; rel="prev"', "100%", "+ +", "#"])
def test_links_behind_any_name(api, bearer, name):
    NamedTokenFactory(name=name)
    NamedTokenFactory(name="last")
    assert pages(api, bearer, "?limit=2") == [["bearer", name], ["last"]]


def test_begins_behind_the_token_named(api, bearer):
    for name in ("first", "second", "third"):
        NamedTokenFactory(name=name)
    assert names(listed(api, bearer, "?after=first")) == ["second", "third"]
    assert names(listed(api, bearer, "?after=first&limit=1")) == ["second"]
    assert names(listed(api, bearer, "?after=third")) == []


def test_goes_on_behind_a_token_that_went_meanwhile(api, bearer):
    for name in ("first", "second", "third"):
        NamedTokenFactory(name=name)
    link = api.call("GET", "/_/token?limit=2", bearer=bearer).headers["Link"]
    api.call("DELETE", "/_/token", {"name": "first"}, bearer=bearer)
    assert pages(api, bearer, NEXT.fullmatch(link)[1].removeprefix("/_/token")) == [["second", "third"]]


@pytest.mark.parametrize(
    "limit", ["0", "-1", "1001", "ten", "", "1.5", "1e1", "NaN", "9" * 50, "9" * 5000, "\0", "true"]
)
def test_refuses_a_limit_that_makes_no_sense(api, bearer, limit):
    response = api.call("GET", f"/_/token?limit={quote(limit)}", bearer=bearer)
    assert response.status_code == 400
    assert response.json()["error"].startswith("limit: ")


@pytest.mark.parametrize("name", ["limit", "after", "cursor"])
def test_refuses_a_parameter_that_is_repeated(api, bearer, name):
    response = api.call("GET", f"/_/token?{name}=1&{name}=2", bearer=bearer)
    assert (response.status_code, response.json()) == (400, {"error": f"{name}: must not be repeated."})
    assert api.call("GET", "/_/token?other=1&other=2", bearer=bearer).status_code == 200


def test_loses_no_token_when_the_last_of_a_page_is_made_anew(api, bearer):
    for name in ("first", "second", "third"):
        NamedTokenFactory(name=name)
    response = api.call("GET", "/_/token?limit=2", bearer=bearer)
    api.call("DELETE", "/_/token", {"name": "first"}, bearer=bearer)
    api.call("POST", "/_/token", {"name": "first"}, bearer=bearer)
    following = response["Link"].removeprefix("<").partition(">")[0]
    assert names(api.call("GET", following, bearer=bearer).json()["data"]) == ["second", "third"]


@pytest.mark.parametrize("after", ["nobody", "", "\0", "\n", "x" * 256, "Bearer"])
def test_refuses_to_begin_behind_a_name_that_never_was(api, bearer, after):
    response = api.call("GET", f"/_/token?after={quote(after)}", bearer=bearer)
    assert response.status_code == 400
    assert response.json()["error"].startswith("after: ")
