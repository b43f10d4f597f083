"""`manage.py list_api_keys`."""

import pytest

from tests.commands.conftest import table
from tests.edi_auth.forge import KEY, NOW
from tests.factories import ApiKeyFactory, GroupFactory, ProfileFactory, secret_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_lists_those_of_a_profile_in_whatever_state(manage, api):
    owner = ProfileFactory(common_name="Jane")
    first, second = ApiKeyFactory(owner=owner, name="a", preview="abcde"), ApiKeyFactory(owner=owner, revoked_at=NOW)
    ApiKeyFactory()
    api.call("POST", KEY, {"key": secret_of(first)})
    assert table(manage("list_api_keys", owner.edi_id)) == [
        ["id", "name", "key", "owner", "state", "expires", "last used", "uses"],
        [str(first.pk), "a", "abcde…", "Jane", "active", "never", "2027-01-04 12:00 UTC", "1"],
        [str(second.pk), second.name, "secre…", "Jane", "revoked", "never", "never", "0"],
    ]


def test_lists_those_that_give_tokens_of_a_group(manage):
    group = GroupFactory(name="Curators")
    key = ApiKeyFactory(group=group, owner__common_name="Jane")
    ApiKeyFactory(owner=key.owner)
    [row] = manage("list_api_keys", group.edi_id, "--json").document["rows"]
    assert (row["id"], row["owner"], row["state"]) == (key.pk, "Jane for Curators", "active")
    assert key.key_hash not in str(row)


def test_says_that_there_are_none(manage):
    assert manage("list_api_keys", ProfileFactory().edi_id).out == "There is nothing to list.\n"


@pytest.mark.parametrize("edi_id", [f"EDI-{'0' * 40}", "Jane", ""])
def test_refuses_an_unknown_edi_id(manage, edi_id):
    outcome = manage("list_api_keys", edi_id)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(f"CommandError: There is no profile or group {edi_id}.\n")
