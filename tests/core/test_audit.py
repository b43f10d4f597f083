"""The audit log: what an event keeps, and that nobody changes it."""

import json
from datetime import UTC, datetime

import pytest

from edi_auth.models import ApiKey, Group, Profile
from podcast_perf.models import PerformanceToken, Publisher
from tests.factories import ApiKeyFactory, NamedTokenFactory, ProfileFactory
from tokens import services
from tokens.core import audit
from tokens.core.audit import Actor
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
MINT, UPDATE = services.Action.MINT, services.Action.UPDATE


def test_keeps_who_did_what_to_which_object(actor):
    token = NamedTokenFactory(name="ci")
    event = audit.record(MINT, token, actor=actor, reason="for the build", now=NOW)
    event.refresh_from_db()
    assert (event.at, event.action) == (NOW, "tokens:named_token:mint")
    assert (event.kind, event.object_id, event.object_label) == ("named_token", str(token.pk), "ci")
    assert (event.actor_kind, event.actor_label, event.channel) == ("system", "test", "system")
    assert event.reason == "for the build"


def test_keeps_address_and_request_of_the_actor():
    somebody = Actor(kind="public", channel="api", id="7", address="2001:db8::1", request_id="f2b1a6c5")
    event = audit.record(MINT, NamedTokenFactory(), actor=somebody)
    event.refresh_from_db()
    assert (event.actor_id, event.address, event.request_id) == ("7", "2001:db8::1", "f2b1a6c5")


def test_keeps_all_fields_of_what_is_new(actor):
    token = NamedTokenFactory(name="ci", expires_at=NOW)
    event = audit.record(MINT, token, actor=actor)
    event.refresh_from_db()
    assert event.before == {}
    assert set(event.after) == set(NamedToken.audit_fields)
    assert (event.after["name"], event.after["can_write"], event.after["revoked_at"]) == ("ci", True, None)
    assert event.after["expires_at"] == "2026-12-01T12:00:00+00:00"


def test_keeps_of_a_change_what_differs(actor):
    token = NamedTokenFactory(can_write=True)
    before = audit.snapshot(token)
    token.can_write = False
    token.expires_at = NOW
    event = audit.record(UPDATE, token, actor=actor, before=before)
    event.refresh_from_db()
    assert event.before == {"can_write": True, "expires_at": None}
    assert event.after == {"can_write": False, "expires_at": "2026-12-01T12:00:00+00:00"}


def test_keeps_nothing_of_what_stayed_the_same(actor):
    token = NamedTokenFactory()
    event = audit.record(UPDATE, token, actor=actor, before=audit.snapshot(token))
    assert (event.before, event.after) == ({}, {})


@pytest.mark.parametrize("field", ["reason", "actor_label", "object_label"])
def test_cuts_what_is_too_long_for_its_column(field):
    token = NamedTokenFactory(name="n" * 255)
    token.name = "n" * 400
    somebody = Actor(kind="public", channel="api", id="i" * 100, label="l" * 400)
    event = audit.record(MINT, token, actor=somebody, reason="r" * 400)
    event.refresh_from_db()
    assert len(getattr(event, field)) == 300
    assert len(event.actor_id) == 64


@pytest.mark.parametrize("make", [NamedTokenFactory, ApiKeyFactory, ProfileFactory])
def test_takes_a_snapshot_of_json_values(make):
    snapshot = audit.snapshot(make())
    assert json.loads(json.dumps(snapshot)) == snapshot


@pytest.mark.parametrize(
    "model", [NamedToken, Publisher, PerformanceToken, Profile, Group, ApiKey], ids=lambda model: model.kind
)
def test_shows_no_field_that_could_be_presented(model):
    assert not {"key_hash", "subject"} & set(model.audit_fields)


def test_never_changes_a_stored_event(actor):
    event = audit.record(MINT, NamedTokenFactory(), actor=actor)
    event.reason = "rewritten"
    with pytest.raises(TypeError, match="cannot be changed"):
        event.save()
    event.refresh_from_db()
    assert event.reason == ""


def test_outlives_the_row_that_it_is_about(actor):
    token = NamedTokenFactory(name="ci")
    audit.record(MINT, token, actor=actor)
    token.delete()
    assert AuditEvent.objects.get().object_label == "ci"


def test_lists_the_newest_event_first(actor):
    token = NamedTokenFactory()
    for action in (MINT, UPDATE):
        audit.record(action, token, actor=actor)
    assert list(AuditEvent.objects.values_list("action", flat=True)) == [UPDATE, MINT]


@pytest.mark.parametrize("action", audit.Action.__subclasses__(), ids=lambda action: action.__module__)
def test_follows_the_grammar_of_actions(action):
    app = action.__module__.split(".")[0]
    for value in action:
        prefix, subject, verb = value.split(":")
        assert prefix == app
        assert subject.isidentifier()
        assert verb.isidentifier()
