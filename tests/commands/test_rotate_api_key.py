"""`manage.py rotate_api_key`."""

from datetime import timedelta

import pytest

from tests.commands.conftest import actor_of, line
from tests.edi_auth.forge import KEY, NOW
from tests.factories import ApiKeyFactory, secret_of
from tests.tokens.tools import everything_stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def opens(api, secret):
    return api.call("POST", KEY, {"key": secret}).status_code == 200


def test_prints_the_new_secret_alone_on_standard_output(manage, api):
    key = ApiKeyFactory(preview="abcde")
    outcome = manage("rotate_api_key", "abcde")
    secret = outcome.out.removesuffix("\n")
    assert (outcome.code, opens(api, secret)) == (0, True)
    assert f"Rotated the API key {key.name!r} (id {key.pk})." in outcome.err
    assert secret not in outcome.err
    assert secret not in everything_stored()
    key.refresh_from_db()
    assert secret.startswith(key.preview)


def test_takes_the_id_of_the_key(manage):
    key = ApiKeyFactory()
    assert manage("rotate_api_key", str(key.pk), "--json").document["id"] == key.pk


@pytest.mark.parametrize(("options", "seconds"), [([], 86_400), (["--grace", "2h"], 7200)], ids=str)
def test_lets_the_old_secret_go_on_for_the_grace(manage, api, clock, options, seconds):
    key = ApiKeyFactory()
    new = manage("rotate_api_key", str(key.pk), *options).out.strip()
    assert (opens(api, secret_of(key)), opens(api, new)) == (True, True)
    clock.move_to(NOW + timedelta(seconds=seconds), tick=False)
    assert (opens(api, secret_of(key)), opens(api, new)) == (False, True)


def test_ends_the_old_secret_at_once_where_there_is_no_grace(manage, api):
    key = ApiKeyFactory()
    document = manage("rotate_api_key", str(key.pk), "--grace", "0", "--json").document
    assert document["previous_valid_until"] is None
    assert (opens(api, secret_of(key)), opens(api, document["key"])) == (False, True)


def test_prints_one_json_document(manage):
    key = ApiKeyFactory()
    document = manage("rotate_api_key", str(key.pk), "--grace", "1h", "--json").document
    moments = {"rotated_at", "previous_valid_until", "previous_last_used_at"}
    assert document.keys() == {"id", "name", "preview", "key"} | moments
    assert document["key"].startswith(document["preview"])
    assert document["previous_valid_until"] == (NOW + timedelta(hours=1)).isoformat()


def test_counts_the_uses_of_both_secrets_and_shows_the_last_of_each(manage, api, clock):
    key = ApiKeyFactory()
    new = manage("rotate_api_key", str(key.pk)).out.strip()
    clock.shift(60)
    opens(api, secret_of(key))
    clock.shift(60)
    opens(api, new)
    key.refresh_from_db()
    assert key.use_count == 2
    assert (key.previous_last_used_at, key.last_used_at) == (NOW + timedelta(minutes=1), NOW + timedelta(minutes=2))


def test_shows_whether_the_old_secret_is_still_used(manage, api, clock):
    key = ApiKeyFactory()
    manage("rotate_api_key", str(key.pk))
    assert manage("rotate_api_key", str(key.pk), "--show").out.endswith("; it was never used.\n")
    clock.shift(600)
    opens(api, secret_of(key))
    assert manage("rotate_api_key", str(key.pk), "--show").out.endswith("; it was last used 2027-01-04 12:10 UTC.\n")
    document = manage("rotate_api_key", str(key.pk), "--show", "--json").document
    assert document["previous_last_used_at"] == (NOW + timedelta(minutes=10)).isoformat()
    assert "key" not in document
    clock.shift(86_400)
    assert manage("rotate_api_key", str(key.pk), "--show").out == "No old secret works.\n"


@pytest.mark.parametrize("which", ["unknown", "revoked", "ambiguous"])
def test_refuses_a_key_that_it_cannot_rotate(manage, which):
    if which != "unknown":
        fields = {"revoked_at": NOW} if which == "revoked" else {}
        ApiKeyFactory.create_batch(2 if which == "ambiguous" else 1, preview="abcde", **fields)
    outcome = manage("rotate_api_key", "abcde")
    assert (outcome.code, outcome.out) == (1, "")


@pytest.mark.parametrize("arguments", [[], ["abcde", "--grace", "31d"], ["abcde", "--grace", "1"]], ids=line)
def test_refuses_wrong_usage(manage, arguments):
    key = ApiKeyFactory(preview="abcde")
    assert manage("rotate_api_key", *arguments).code == 2
    key.refresh_from_db()
    assert key.rotated_at is None


def test_names_the_user_in_the_audit_log(manage, operator):
    manage("rotate_api_key", str(ApiKeyFactory().pk))
    assert actor_of("edi_auth:api_key:rotate") == ("command", "command", "jane", "jane (manage.py)")
