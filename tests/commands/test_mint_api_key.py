"""`manage.py mint_api_key`."""

from datetime import UTC, datetime

import pytest

from edi_auth import services
from edi_auth.models import ApiKey
from tests.commands.conftest import actor_of, line
from tests.factories import ApiKeyFactory, GroupFactory, ProfileFactory
from tokens.core.models import digest
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

NOBODY = "EDI-0000000000000000000000000000000000000000"


@pytest.fixture
def owner():
    return ProfileFactory()


def test_prints_the_key_alone_on_standard_output(manage, owner):
    outcome = manage("mint_api_key", owner.edi_id, "laptop")
    assert outcome.code == 0
    assert outcome.out.count("\n") == 1
    assert ApiKey.objects.get().key_hash == digest(outcome.out.strip())


def test_says_on_standard_error_what_it_made(manage, owner):
    outcome = manage("mint_api_key", owner.edi_id, "laptop")
    assert f"Minted the API key 'laptop' (id {ApiKey.objects.get().pk}) for {owner}:" in outcome.err
    assert outcome.out.strip() not in outcome.err


def test_prints_a_key_that_can_be_exchanged(manage, api, owner):
    secret = manage("mint_api_key", owner.edi_id, "laptop").out.strip()
    response = api.call("POST", "/auth/v1/key", {"key": secret})
    assert response.status_code == 200
    assert services.ring().verify(response.json()["edi-token"])["sub"] == owner.edi_id


def test_stores_a_preview_and_no_secret(manage, owner):
    secret = manage("mint_api_key", owner.edi_id, "laptop").out.strip()
    assert ApiKey.objects.get().preview == secret[:5]
    assert secret not in str(ApiKey.objects.values().get())


def test_prints_one_json_document(manage, owner):
    outcome = manage("mint_api_key", owner.edi_id, "laptop", "--valid-to", "2027-01-31", "--json")
    key = ApiKey.objects.get()
    secret = outcome.document["key"]
    assert digest(secret) == key.key_hash
    assert outcome.document == {
        "id": key.pk,
        "name": "laptop",
        "preview": key.preview,
        "owner": owner.edi_id,
        "group": None,
        "valid_from": None,
        "valid_to": "2027-01-31T00:00:00+00:00",
        "key": secret,
    }
    assert secret not in outcome.err


def test_keeps_the_period_of_validity(manage, owner):
    manage("mint_api_key", owner.edi_id, "laptop", "--valid-from", "2027-01-01", "--valid-to", "2027-01-31T12:00:00Z")
    key = ApiKey.objects.get()
    assert key.starts_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert key.expires_at == datetime(2027, 1, 31, 12, tzinfo=UTC)


def test_makes_a_key_of_a_group(manage, api, owner):
    group = GroupFactory()
    secret = manage("mint_api_key", owner.edi_id, "laptop", "--group", group.edi_id).out.strip()
    edi_token = api.call("POST", "/auth/v1/key", {"key": secret}).json()["edi-token"]
    assert services.ring().verify(edi_token)["sub"] == group.edi_id


def test_refuses_an_unknown_owner(manage):
    outcome = manage("mint_api_key", NOBODY, "laptop")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(f"CommandError: There is no profile {NOBODY}.\n")


def test_refuses_an_unknown_group(manage, owner):
    outcome = manage("mint_api_key", owner.edi_id, "laptop", "--group", NOBODY)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(f"CommandError: There is no group {NOBODY}.\n")
    assert not ApiKey.objects.exists()


def test_refuses_a_name_that_the_owner_has_used(manage, owner):
    ApiKeyFactory(owner=owner, name="laptop")
    outcome = manage("mint_api_key", owner.edi_id, "laptop")
    assert (outcome.code, outcome.out) == (1, "")
    assert "has a key named 'laptop' already." in outcome.err
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    "options",
    [
        ["laptop", "--valid-to", "soon"],
        ["laptop", "--valid-from", "2027-02-30"],
        ["laptop", "--valid-from", "2027-02-01", "--valid-to", "2027-01-01"],
        ["laptop", "--valid-from", ""],
        ["laptop", "--valid-to", ""],
        ["laptop", "--group", ""],
        [""],
        ["a\x07b"],
        ["laptop\n"],
        ["x" * 256],
        [],
    ],
    ids=line,
)
def test_refuses_wrong_usage_and_stores_nothing(manage, owner, options):
    outcome = manage("mint_api_key", owner.edi_id, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert not ApiKey.objects.exists()


def test_names_the_user_in_the_audit_log(manage, owner, operator):
    manage("mint_api_key", owner.edi_id, "laptop")
    assert actor_of("edi_auth:api_key:mint") == ("command", "command", "jane", "jane (manage.py)")


def test_keeps_the_key_out_of_the_audit_log(manage, owner):
    secret = manage("mint_api_key", owner.edi_id, "laptop").out.strip()
    assert secret not in str(list(AuditEvent.objects.values()))
    assert AuditEvent.objects.get().after["preview"] == secret[:5]
