"""`manage.py list_publishers`."""

import pytest

from tests.commands.conftest import table
from tests.edi_auth.forge import NOW
from tests.factories import PublisherFactory, secret_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_lists_them_by_name_in_whatever_state(manage, api):
    PublisherFactory(name="b", revoked_at=NOW)
    used = PublisherFactory(name="a", preview="abcde")
    api.call("GET", "/token", headers={"X-PUB-KEY": secret_of(used)})
    outcome = manage("list_publishers")
    assert table(outcome) == [
        ["id", "name", "key", "state", "expires", "last used", "uses"],
        [str(used.pk), "a", "abcde…", "active", "never", "2027-01-04 12:00 UTC", "0"],
        [str(used.pk - 1), "b", "secre…", "revoked", "never", "never", "0"],
    ]


def test_prints_one_json_document(manage):
    publisher = PublisherFactory(name="a", expires_at=NOW)
    [row] = manage("list_publishers", "--json").document["rows"]
    assert (row["name"], row["state"], row["valid_to"]) == ("a", "expired", NOW.isoformat())
    assert secret_of(publisher) not in str(row)
    assert publisher.key_hash not in str(row)


def test_says_that_there_are_none(manage):
    assert manage("list_publishers").out == "There is nothing to list.\n"
