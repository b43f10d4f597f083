"""`manage.py revoke_api_key`."""

import pytest

from tests.commands.conftest import actor_of
from tests.factories import ApiKeyFactory, secret_of
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

REVOKE = "edi_auth:api_key:revoke"


def test_ends_the_key_of_that_preview(manage, api):
    key = ApiKeyFactory(preview="R9arQ")
    outcome = manage("revoke_api_key", "R9arQ")
    assert (outcome.code, outcome.out) == (0, f"Revoked the API key {key.name!r} (R9arQ…, id {key.pk}).\n")
    assert api.call("POST", "/auth/v1/key", {"key": secret_of(key)}).status_code == 403


def test_ends_the_key_of_that_id_and_no_other(manage, api):
    key, other = ApiKeyFactory(), ApiKeyFactory()
    assert manage("revoke_api_key", str(key.pk)).code == 0
    assert api.call("POST", "/auth/v1/key", {"key": secret_of(key)}).status_code == 403
    assert api.call("POST", "/auth/v1/key", {"key": secret_of(other)}).status_code == 200


def test_prints_one_json_document(manage):
    key = ApiKeyFactory(name="laptop", preview="R9arQ")
    document = manage("revoke_api_key", "R9arQ", "--json").document
    assert document == {"id": key.pk, "name": "laptop", "preview": "R9arQ", "state": "revoked"}


@pytest.mark.parametrize("key", ["zzzzz", "999999", "9" * 30, "²"])
def test_refuses_an_unknown_key(manage, key):
    outcome = manage("revoke_api_key", key)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(f"CommandError: There is no API key {key!r}.\n")


def test_revokes_neither_of_two_keys_with_one_preview(manage):
    keys = [ApiKeyFactory(preview="R9arQ"), ApiKeyFactory(preview="R9arQ")]
    outcome = manage("revoke_api_key", "R9arQ")
    assert outcome.code != 0
    assert f"{keys[0].pk}" in outcome.err
    assert f"{keys[1].pk}" in outcome.err
    assert not AuditEvent.objects.filter(action=REVOKE).exists()


def test_changes_nothing_the_second_time(manage):
    key = ApiKeyFactory(preview="R9arQ")
    manage("revoke_api_key", "R9arQ")
    key.refresh_from_db()
    revoked_at = key.revoked_at
    assert manage("revoke_api_key", "R9arQ").code == 0
    key.refresh_from_db()
    assert key.revoked_at == revoked_at
    assert AuditEvent.objects.filter(action=REVOKE).count() == 1


def test_refuses_to_guess_a_key(manage):
    assert manage("revoke_api_key").code == 2


def test_names_the_user_in_the_audit_log(manage, operator):
    manage("revoke_api_key", str(ApiKeyFactory().pk))
    assert actor_of(REVOKE) == ("command", "command", "jane", "jane (manage.py)")


def test_keeps_the_reason(manage):
    manage("revoke_api_key", str(ApiKeyFactory().pk), "--reason", "found in a repository")
    assert AuditEvent.objects.get(action=REVOKE).reason == "found in a repository"
