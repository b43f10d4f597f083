"""`manage.py revoke_publisher`."""

import pytest

from tests.commands.conftest import actor_of
from tests.factories import PublisherFactory, secret_of
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db


def test_ends_the_key_for_good(manage, api):
    publisher = PublisherFactory(name="Feeds")
    outcome = manage("revoke_publisher", "Feeds")
    assert (outcome.code, outcome.out) == (0, "Revoked the publisher 'Feeds'.\n")
    assert api.call("GET", "/token", headers={"X-PUB-KEY": secret_of(publisher)}).status_code == 400


def test_prints_one_json_document(manage):
    PublisherFactory(name="Feeds")
    document = manage("revoke_publisher", "Feeds", "--json").document
    assert (document["name"], document["state"]) == ("Feeds", "revoked")


def test_keeps_reason_and_user_in_the_audit_log(manage, operator):
    PublisherFactory(name="Feeds")
    manage("revoke_publisher", "Feeds", "--reason", "left the network")
    assert actor_of("podcast_perf:publisher:revoke") == ("command", "command", "jane", "jane (manage.py)")
    assert AuditEvent.objects.get().reason == "left the network"


def test_changes_nothing_the_second_time(manage):
    publisher = PublisherFactory(name="Feeds")
    manage("revoke_publisher", "Feeds")
    publisher.refresh_from_db()
    assert manage("revoke_publisher", "Feeds", "--reason", "again").code == 0
    assert AuditEvent.objects.get().reason == ""


@pytest.mark.parametrize("name", ["Others", "feeds", ""])
def test_refuses_an_unknown_name(manage, name):
    publisher = PublisherFactory(name="Feeds")
    outcome = manage("revoke_publisher", name)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(f"CommandError: There is no publisher named {name!r}.\n")
    publisher.refresh_from_db()
    assert publisher.revoked_at is None
