"""PUT /_/token (the Token document, "PUT")."""

import uuid
from datetime import timedelta

import pytest

from tests.edi_auth.forge import NOW
from tests.factories import NamedTokenFactory, value_of
from tokens import services
from tokens.dialect import milliseconds
from tokens.models import AuditEvent, NamedToken

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

LATER = NOW + timedelta(days=30)


def updated(api, bearer, **fields):
    response = api.call("PUT", "/_/token", {"name": "example", **fields}, bearer=bearer)
    assert response.status_code == 200, response.content
    (row,) = response.json()["data"]
    return row


def opens(api, value):
    return api.call("GET", "/_/token", bearer=value).status_code == 200


def test_answers_with_the_row_as_it_is_now(api, bearer):
    made = NOW - timedelta(days=1)
    NamedTokenFactory(name="example", created_at=made)
    assert updated(api, bearer, expiration_date=milliseconds(LATER), active=False, write=False) == {
        "name": "example",
        "expiration_date": milliseconds(LATER),
        "active": False,
        "write": False,
        "state": "inactive",
        "created_at": milliseconds(made),
        "updated_at": milliseconds(NOW),
        "last_used_at": None,
    }


@pytest.mark.parametrize(
    ("fields", "column", "value"),
    [
        ({"expiration_date": milliseconds(LATER)}, "expires_at", LATER),
        ({"expiration_date": None}, "expires_at", None),
        ({"active": True}, "is_active", True),
        ({"write": True}, "can_write", True),
    ],
    ids=["expiration_date", "no expiration_date", "active", "write"],
)
def test_changes_what_is_given_and_keeps_the_rest(api, bearer, fields, column, value):
    token = NamedTokenFactory(
        name="example", created_at=NOW - timedelta(days=1), expires_at=NOW, is_active=False, can_write=False
    )
    before = NamedToken.objects.filter(pk=token.pk).values().get()
    updated(api, bearer, **fields)
    after = NamedToken.objects.filter(pk=token.pk).values().get()
    assert after == before | {column: value, "updated_at": NOW}


@pytest.mark.parametrize("fields", [{}, {"write": False}], ids=["only the name", "what is stored already"])
def test_changes_nothing_where_nothing_is_new(api, bearer, fields):
    token = NamedTokenFactory(name="example", can_write=False, expires_at=LATER, created_at=NOW - timedelta(days=1))
    before = NamedToken.objects.filter(pk=token.pk).values().get()
    assert updated(api, bearer, **fields)["expiration_date"] == milliseconds(LATER)
    assert NamedToken.objects.filter(pk=token.pk).values().get() == before
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("closing", "opening"),
    [
        ({"active": False}, {"active": True}),
        ({"expiration_date": milliseconds(NOW)}, {"expiration_date": milliseconds(LATER)}),
        ({"expiration_date": 1632960000000}, {"expiration_date": None}),
    ],
    ids=["switched off and on", "expired and prolonged", "expired and without expiry"],
)
def test_closes_and_opens_the_door_to_one_and_the_same_value(api, bearer, closing, opening):
    value = value_of(NamedTokenFactory(name="example", created_at=NOW - timedelta(days=1)))
    updated(api, bearer, **closing)
    assert not opens(api, value)
    updated(api, bearer, **opening)
    assert opens(api, value)


@pytest.mark.parametrize("microseconds", [0, 1, 999, 1000, 123_456, 999_999])
def test_ends_no_token_that_is_sent_back_as_it_was_shown(api, bearer, microseconds):
    made = NOW - timedelta(days=1) + timedelta(microseconds=microseconds)
    value = value_of(NamedTokenFactory(name="example", created_at=made))
    (shown,) = (row for row in api.call("GET", "/_/token", bearer=bearer).json()["data"] if row["name"] == "example")
    fields = {field: shown[field] for field in ("expiration_date", "active", "write")}
    assert updated(api, bearer, **fields)["state"] == "active"
    assert opens(api, value)


def test_ends_no_token_that_is_sent_back_as_it_was_shown_before_others_changed_it(api, actor, bearer, clock):
    """Or before it was sent back the first time."""
    services.mint("example", actor=actor)
    value = services.value("example", actor=actor)
    (shown,) = (row for row in api.call("GET", "/_/token", bearer=bearer).json()["data"] if row["name"] == "example")
    for active in (False, True, True):
        clock.shift(60)
        updated(api, bearer, active=active)
    clock.shift(60)
    again = updated(api, bearer, write=False)
    for fields in (shown, again):
        assert updated(api, bearer, expiration_date=fields["expiration_date"])["state"] == "active"
    services.rotate("example", actor=actor)
    assert updated(api, bearer, expiration_date=shown["expiration_date"])["state"] == "active"
    assert opens(api, value)


def test_ends_a_token_at_a_moment_that_was_never_shown(api, actor, bearer, clock):
    services.mint("example", actor=actor)
    services.mint("other", actor=actor, now=NOW + timedelta(seconds=1))
    clock.shift(60)
    services.value("example", actor=actor)
    ended = milliseconds(NOW + timedelta(seconds=60))
    clock.shift(60)
    updated(api, bearer, write=False)
    for moment in (milliseconds(NOW + timedelta(seconds=1)), ended):
        assert updated(api, bearer, expiration_date=moment)["state"] == "expired"
        NamedToken.objects.filter(name="example").update(expires_at=None)


def test_leaves_to_a_token_what_makes_it_this_one(actor):
    token = NamedTokenFactory(name="example")
    changes = {"name": "other", "subject": uuid.uuid4(), "revoked_at": NOW, "created_at": LATER}
    services.update(token, actor=actor, **changes)
    stored = NamedToken.objects.get(pk=token.pk)
    assert [getattr(stored, name) for name in changes] == [getattr(token, name) for name in changes]
    assert not AuditEvent.objects.exists()


def test_takes_the_last_moment_there_is(api, bearer):
    NamedTokenFactory(name="example")
    assert updated(api, bearer, expiration_date=253_402_300_799_999)["expiration_date"] == 253_402_300_799_999


def test_shows_a_token_that_lost_its_expiry_as_documented(api, bearer):
    NamedTokenFactory(name="example", expires_at=LATER)
    row = updated(api, bearer, expiration_date=None)
    assert row["expiration_date"] == row["updated_at"] == milliseconds(NOW)
    assert row["state"] == "active"


def test_takes_the_write_permission_at_once(api, bearer):
    value = value_of(NamedTokenFactory(name="example"))
    updated(api, bearer, write=False)
    assert api.call("DELETE", "/_/token", {"name": "bearer"}, bearer=value).status_code == 403
    assert opens(api, value)


def test_may_take_the_write_permission_of_its_own_bearer(api, bearer):
    assert updated(api, bearer, name="bearer", write=False)["write"] is False
    assert api.call("PUT", "/_/token", {"name": "bearer", "write": True}, bearer=bearer).status_code == 403


@pytest.mark.parametrize("name", ["exmaple", "Example", "example "])
def test_refuses_an_unknown_name_and_makes_no_token_of_it(api, bearer, name):
    NamedTokenFactory(name="example")
    response = api.call("PUT", "/_/token", {"name": name, "active": False}, bearer=bearer)
    assert response.status_code == 404
    assert response.json() == {"error": f"There is no token named {name!r}."}
    assert list(NamedToken.objects.values_list("name", "is_active")) == [("bearer", True), ("example", True)]


def test_refuses_a_revoked_token(api, bearer):
    NamedTokenFactory(name="example", revoked_at=NOW, is_active=False)
    assert api.call("PUT", "/_/token", {"name": "example", "active": True}, bearer=bearer).status_code == 404


def test_changes_the_token_that_has_the_name_now(api, bearer):
    gone = NamedTokenFactory(name="example", revoked_at=NOW)
    token = NamedTokenFactory(name="example")
    updated(api, bearer, active=False)
    gone.refresh_from_db()
    token.refresh_from_db()
    assert (gone.is_active, token.is_active) == (True, False)


def test_records_what_changed_and_who_did_it(api, bearer):
    token = NamedTokenFactory(name="example")
    updated(api, bearer, active=False, write=True)
    event = AuditEvent.objects.get()
    assert event.action == "tokens:named_token:update"
    assert (event.object_id, event.actor_kind, event.actor_label) == (str(token.pk), "named_token", "bearer")
    assert (event.before, event.after) == ({"is_active": True}, {"is_active": False})


def test_changes_nothing_by_a_refused_request(api, bearer):
    token = NamedTokenFactory(name="example")
    body = {"name": "example", "active": False, "write": "false"}
    assert api.call("PUT", "/_/token", body, bearer=bearer).status_code == 400
    token.refresh_from_db()
    assert token.is_active
