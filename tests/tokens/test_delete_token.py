"""DELETE /_/token (the Token document, "DELETE")."""

from datetime import UTC, datetime

import pytest

from tests.factories import NamedTokenFactory, value_of
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)


def test_answers_with_the_row_that_went(api, bearer):
    NamedTokenFactory(name="example", can_write=False)
    response = api.call("DELETE", "/_/token", {"name": "example"}, bearer=bearer)
    assert response.status_code == 200
    (row,) = response.json()["data"]
    assert row["name"] == "example"
    assert row["write"] is False
    assert row["state"] == "revoked"
    assert "token" not in row


def test_ends_the_token_at_once(api, bearer):
    value = value_of(NamedTokenFactory(name="example"))
    assert api.call("GET", "/_/token", bearer=value).status_code == 200
    api.call("DELETE", "/_/token", {"name": "example"}, bearer=bearer)
    assert api.call("GET", "/_/token", bearer=value).status_code == 401


def test_refuses_an_unknown_name(api, bearer):
    response = api.call("DELETE", "/_/token", {"name": "exmaple"}, bearer=bearer)
    assert response.status_code == 404
    assert response.json() == {"error": "There is no token named 'exmaple'."}


def test_frees_the_name_for_a_token_of_its_own_value(api, bearer):
    old = value_of(NamedTokenFactory(name="example"))
    api.call("DELETE", "/_/token", {"name": "example"}, bearer=bearer)
    response = api.call("POST", "/_/token", {"name": "example"}, bearer=bearer)
    assert response.status_code == 201
    assert response.json()["data"][0]["token"] != old
    assert api.call("GET", "/_/token", bearer=old).status_code == 401


def test_keeps_the_row_and_records_who_did_it(api, bearer):
    token = NamedTokenFactory(name="example")
    api.call("DELETE", "/_/token", {"name": "example"}, bearer=bearer)
    token.refresh_from_db()
    assert token.revoked_at is not None
    event = AuditEvent.objects.get(action="tokens:named_token:revoke")
    assert (event.object_id, event.actor_kind, event.actor_label) == (str(token.pk), "named_token", "bearer")
    assert event.before == {"revoked_at": None}


def test_refuses_a_read_token(api, db):
    NamedTokenFactory(name="example")
    reader = value_of(NamedTokenFactory(can_write=False))
    assert api.call("DELETE", "/_/token", {"name": "example"}, bearer=reader).status_code == 403
    assert NamedToken.objects.filter(name="example", revoked_at__isnull=True).exists()


@pytest.mark.parametrize("name", ["exmaple", "Example", "example ", "%", "exampl_"])
def test_takes_no_other_name_for_the_one_it_was_given(api, bearer, name):
    NamedTokenFactory(name="example")
    assert api.call("DELETE", "/_/token", {"name": name}, bearer=bearer).status_code == 404
    assert not NamedToken.objects.filter(revoked_at__isnull=False).exists()
    assert not AuditEvent.objects.exists()


def test_deletes_the_named_token_alone(api, bearer):
    for name in ("before", "example", "behind"):
        NamedTokenFactory(name=name)
    api.call("DELETE", "/_/token", {"name": "example"}, bearer=bearer)
    rows = api.call("GET", "/_/token", bearer=bearer).json()["data"]
    assert [row["name"] for row in rows] == ["bearer", "before", "behind"]


@pytest.mark.parametrize("fields", [{"is_active": False}, {"expires_at": NOW}, {"starts_at": NOW}])
def test_deletes_a_token_in_whatever_state(api, bearer, time_machine, fields):
    time_machine.move_to(NOW, tick=False)
    NamedTokenFactory(name="example", **fields)
    response = api.call("DELETE", "/_/token", {"name": "example"}, bearer=bearer)
    assert response.status_code == 200
    assert response.json()["data"][0]["state"] == "revoked"


def test_refuses_a_token_that_went_already(api, bearer):
    token = NamedTokenFactory(name="example", revoked_at=NOW)
    assert api.call("DELETE", "/_/token", {"name": "example"}, bearer=bearer).status_code == 404
    token.refresh_from_db()
    assert token.revoked_at == NOW


def test_may_end_its_own_bearer(api, bearer):
    assert api.call("DELETE", "/_/token", {"name": "bearer"}, bearer=bearer).status_code == 200
    assert api.call("GET", "/_/token", bearer=bearer).status_code == 401


@pytest.mark.parametrize(
    ("query", "body"),
    [("?name=example", None), ("?name=example", {}), ("", {"name": "example", "active": False}), ("", ["example"])],
    ids=["a name in the URL", "a name in the URL and an empty body", "a field of another call", "a list"],
)
def test_takes_one_name_in_a_body_and_nothing_else(api, bearer, query, body):
    NamedTokenFactory(name="example")
    assert api.call("DELETE", f"/_/token{query}", body, bearer=bearer).status_code == 400
    assert not NamedToken.objects.filter(revoked_at__isnull=False).exists()
