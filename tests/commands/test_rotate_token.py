"""`manage.py rotate_token`."""

from datetime import timedelta

import pytest

from tests.commands.conftest import actor_of, line
from tests.edi_auth.forge import NOW, SECONDS
from tests.factories import NamedTokenFactory, value_of
from tokens.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def opens(api, value):
    return api.call("GET", "/_/token", bearer=value).status_code == 200


def test_prints_the_new_value_alone_on_standard_output(manage):
    token = NamedTokenFactory(name="ci")
    outcome = manage("rotate_token", "ci")
    token.refresh_from_db()
    assert (outcome.code, outcome.out) == (0, value_of(token) + "\n")
    assert "Rotated the named token 'ci'." in outcome.err
    assert outcome.out.strip() not in outcome.err


@pytest.mark.parametrize(
    ("options", "seconds"),
    [([], 86_400), (["--grace", "2h"], 7200), (["--grace", "90s"], 90), (["--grace", "30d"], 30 * 86_400)],
    ids=str,
)
def test_lets_the_old_value_go_on_for_the_grace(manage, api, clock, options, seconds):
    old = value_of(NamedTokenFactory(name="ci"))
    new = manage("rotate_token", "ci", *options).out.strip()
    assert (opens(api, old), opens(api, new)) == (True, True)
    clock.move_to(NOW + timedelta(seconds=seconds), tick=False)
    assert (opens(api, old), opens(api, new)) == (False, True)


def test_ends_the_old_value_at_once_where_there_is_no_grace(manage, api):
    old = value_of(NamedTokenFactory(name="ci"))
    new = manage("rotate_token", "ci", "--grace", "0").out.strip()
    assert (opens(api, old), opens(api, new)) == (False, True)


@pytest.mark.parametrize(("grace", "until"), [("1h", (SECONDS + 3600) * 1000), ("0", None)])
def test_prints_one_json_document(manage, grace, until):
    token = NamedTokenFactory(name="ci")
    document = manage("rotate_token", "ci", "--grace", grace, "--json").document
    token.refresh_from_db()
    assert (document["name"], document["token"]) == ("ci", value_of(token))
    assert document["previous_valid_until"] == until


def test_shows_whether_the_old_value_is_still_used(manage, api, clock):
    old = value_of(NamedTokenFactory(name="ci"))
    assert manage("rotate_token", "ci", "--show").out == "No old secret works.\n"
    manage("rotate_token", "ci")
    shown = "The old secret works until 2027-01-05 12:00 UTC; it was {}.\n"
    assert manage("rotate_token", "ci", "--show").out == shown.format("never used")
    clock.shift(600)
    opens(api, old)
    assert manage("rotate_token", "ci", "--show").out == shown.format("last used 2027-01-04 12:10 UTC")
    document = manage("rotate_token", "ci", "--show", "--json").document
    assert document["previous_last_used_at"] == (SECONDS + 600) * 1000
    assert "token" not in document
    clock.shift(86_400)
    assert manage("rotate_token", "ci", "--show").out == "No old secret works.\n"
    assert AuditEvent.objects.count() == 1


def test_refuses_an_unknown_name(manage):
    outcome = manage("rotate_token", "ci")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("CommandError: There is no token named 'ci'.\n")


@pytest.mark.parametrize("grace", ["", "1", "-1h", "31d", "5w", "0h", "forever", "1h2m", "999999w"])
def test_refuses_a_grace_that_makes_no_sense(manage, grace):
    token = NamedTokenFactory(name="ci")
    outcome = manage("rotate_token", "ci", f"--grace={grace}")
    assert (outcome.code, outcome.out) == (2, "")
    token.refresh_from_db()
    assert token.rotated_at is None


@pytest.mark.parametrize("arguments", [[], ["ci", "--grace"], ["ci", "more"]], ids=line)
def test_refuses_wrong_usage(manage, arguments):
    assert manage("rotate_token", *arguments).code == 2


def test_names_the_user_in_the_audit_log(manage, operator):
    NamedTokenFactory(name="ci")
    value = manage("rotate_token", "ci").out.strip()
    assert actor_of("tokens:named_token:rotate") == ("command", "command", "jane", "jane (manage.py)")
    assert value not in str(AuditEvent.objects.values().get())


def test_rotates_nothing_without_the_secret(manage, settings):
    token = NamedTokenFactory(name="ci")
    settings.TOKENS_SECRET_KEY = ""
    outcome = manage("rotate_token", "ci", "--skip-checks")
    assert (outcome.code, outcome.out) == (1, "")
    token.refresh_from_db()
    assert token.rotated_at is None
