"""`manage.py add_publisher`."""

from datetime import UTC, datetime

import pytest

from podcast_perf.models import Publisher
from tests.commands.conftest import actor_of, line
from tests.factories import PublisherFactory
from tests.tokens.tools import everything_stored

pytestmark = pytest.mark.django_db


def opens(api, key):
    return api.call("GET", "/token", headers={"X-PUB-KEY": key}).status_code == 200


def test_prints_the_key_alone_on_standard_output(manage, api):
    outcome = manage("add_publisher", "Feeds")
    key = outcome.out.removesuffix("\n")
    assert (outcome.code, opens(api, key)) == (0, True)
    assert outcome.err == "Added the publisher 'Feeds'. Its X-PUB-KEY:\n"
    assert key not in everything_stored()


def test_prints_one_json_document(manage, api):
    document = manage("add_publisher", "Feeds", "--valid-to", "2037-01-31", "--json").document
    row = Publisher.objects.get()
    assert opens(api, document.pop("key"))
    assert document == {
        "id": row.pk,
        "name": "Feeds",
        "preview": row.preview,
        "state": "active",
        "valid_from": None,
        "valid_to": "2037-01-31T00:00:00+00:00",
        "last_used_at": None,
        "use_count": 0,
    }


def test_takes_from_when_to_when_the_key_is_good(manage, api):
    key = manage("add_publisher", "Feeds", "--valid-from", "2037-01-01", "--valid-to", "2037-01-31T12:00").out.strip()
    row = Publisher.objects.get()
    assert (row.starts_at, row.expires_at) == (
        datetime(2037, 1, 1, tzinfo=UTC),
        datetime(2037, 1, 31, 12, tzinfo=UTC),
    )
    assert not opens(api, key)


def test_refuses_a_taken_name(manage):
    taken = PublisherFactory(name="Feeds")
    outcome = manage("add_publisher", "Feeds")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("CommandError: There is a publisher of that name or key already.\n")
    assert list(Publisher.objects.all()) == [taken]


@pytest.mark.parametrize(
    "arguments",
    [[], [""], ["x" * 256], ["a\x07b"], ["Feeds", "--valid-to", "soon"], ["Feeds", "--valid-from", ""]],
    ids=line,
)
def test_refuses_wrong_usage_and_stores_nothing(manage, arguments):
    outcome = manage("add_publisher", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert not Publisher.objects.exists()


def test_names_the_user_in_the_audit_log(manage, operator):
    manage("add_publisher", "Feeds")
    assert actor_of("podcast_perf:publisher:add") == ("command", "command", "jane", "jane (manage.py)")
