"""DELETE /_/token (the Token document, "DELETE")."""

import pytest

from tests.factories import NamedTokenFactory, value_of
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db


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
