"""`manage.py rotate_publisher`."""

from datetime import timedelta

import pytest

from tests.commands.conftest import actor_of, line
from tests.edi_auth.forge import NOW
from tests.factories import PublisherFactory, secret_of
from tests.tokens.tools import everything_stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def opens(api, key):
    return api.call("GET", "/token", headers={"X-PUB-KEY": key}).status_code == 200


def test_prints_the_new_key_and_lets_the_old_one_go_on_for_the_grace(manage, api, clock):
    publisher = PublisherFactory(name="Feeds")
    outcome = manage("rotate_publisher", "Feeds", "--grace", "7d")
    new = outcome.out.removesuffix("\n")
    assert outcome.err == "Rotated the publisher 'Feeds'. Its new secret:\n"
    assert (opens(api, secret_of(publisher)), opens(api, new)) == (True, True)
    assert new not in everything_stored()
    clock.move_to(NOW + timedelta(days=7), tick=False)
    assert (opens(api, secret_of(publisher)), opens(api, new)) == (False, True)


def test_prints_one_json_document(manage, api):
    publisher = PublisherFactory(name="Feeds")
    document = manage("rotate_publisher", "Feeds", "--grace", "0", "--json").document
    assert (document["name"], document["previous_valid_until"]) == ("Feeds", None)
    assert (opens(api, secret_of(publisher)), opens(api, document["key"])) == (False, True)


def test_shows_whether_the_old_key_is_still_used(manage, api, clock):
    publisher = PublisherFactory(name="Feeds")
    manage("rotate_publisher", "Feeds")
    assert manage("rotate_publisher", "Feeds", "--show").out.endswith("; it was never used.\n")
    clock.shift(600)
    opens(api, secret_of(publisher))
    assert manage("rotate_publisher", "Feeds", "--show").out.endswith("; it was last used 2027-01-04 12:10 UTC.\n")


@pytest.mark.parametrize("state", ["unknown", "revoked"])
def test_refuses_a_publisher_that_it_cannot_rotate(manage, state):
    PublisherFactory(name="Feeds", revoked_at=NOW)
    outcome = manage("rotate_publisher", "Feeds" if state == "revoked" else "Others")
    assert (outcome.code, outcome.out) == (1, "")


@pytest.mark.parametrize("arguments", [[], ["Feeds", "--grace", "31d"], ["Feeds", "--grace", "-1h"]], ids=line)
def test_refuses_wrong_usage(manage, api, arguments):
    publisher = PublisherFactory(name="Feeds")
    outcome = manage("rotate_publisher", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert opens(api, secret_of(publisher))


def test_names_the_user_in_the_audit_log(manage, operator):
    PublisherFactory(name="Feeds")
    manage("rotate_publisher", "Feeds")
    assert actor_of("podcast_perf:publisher:rotate") == ("command", "command", "jane", "jane (manage.py)")
