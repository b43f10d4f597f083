"""`manage.py revoke_token`."""

import pytest

from tests.commands.conftest import actor_of
from tests.factories import NamedTokenFactory, value_of
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db


def test_ends_the_token_at_once(manage, api):
    value = value_of(NamedTokenFactory(name="ci"))
    assert api.call("GET", "/_/token", bearer=value).status_code == 200
    assert manage("revoke_token", "ci").code == 0
    assert api.call("GET", "/_/token", bearer=value).status_code == 401


def test_says_what_it_did(manage):
    NamedTokenFactory(name="ci")
    assert manage("revoke_token", "ci").out == "Revoked the named token 'ci'.\n"


def test_prints_one_json_document(manage):
    NamedTokenFactory(name="ci")
    document = manage("revoke_token", "ci", "--json").document
    assert (document["name"], document["state"]) == ("ci", "revoked")


def test_frees_the_name(manage):
    NamedTokenFactory(name="ci")
    manage("revoke_token", "ci")
    assert manage("mint_token", "ci").code == 0


@pytest.mark.parametrize("command", [["revoke_token", "exmaple"], ["revoke_token", "exmaple", "--json"]])
def test_refuses_an_unknown_name(manage, command):
    outcome = manage(*command)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("CommandError: There is no token named 'exmaple'.\n")


def test_refuses_a_token_that_was_revoked_before(manage):
    NamedTokenFactory(name="ci")
    manage("revoke_token", "ci")
    assert manage("revoke_token", "ci").code == 1
    assert AuditEvent.objects.filter(action="tokens:named_token:revoke").count() == 1


def test_refuses_to_guess_a_name(manage):
    assert manage("revoke_token").code == 2


def test_names_the_user_in_the_audit_log(manage, operator):
    NamedTokenFactory(name="ci")
    manage("revoke_token", "ci")
    assert actor_of("tokens:named_token:revoke") == ("command", "command", "jane", "jane (manage.py)")


def test_keeps_the_reason(manage):
    NamedTokenFactory(name="ci")
    manage("revoke_token", "ci", "--reason", "left the company")
    assert AuditEvent.objects.get(action="tokens:named_token:revoke").reason == "left the company"
