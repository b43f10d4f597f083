"""`manage.py mint_token`."""

from datetime import UTC, datetime
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command

from tests.commands.conftest import actor_of, line
from tests.factories import NamedTokenFactory, value_of
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


class Terminal(StringIO):
    """Standard output of a person."""

    def isatty(self):
        return True


def test_prints_the_value_alone_on_standard_output(manage):
    outcome = manage("mint_token", "ci")
    assert outcome.code == 0
    assert outcome.out == value_of(NamedToken.objects.get(name="ci")) + "\n"


def test_says_on_standard_error_what_it_made(manage):
    outcome = manage("mint_token", "ci")
    assert "Minted the named token 'ci'." in outcome.err
    assert outcome.out.strip() not in outcome.err


def test_prints_a_value_that_the_api_takes(manage, api):
    value = manage("mint_token", "ci").out.strip()
    assert api.call("POST", "/_/token", {"name": "another"}, bearer=value).status_code == 201


def test_prints_one_json_document(manage):
    outcome = manage("mint_token", "ci", "--json")
    token = NamedToken.objects.get(name="ci")
    assert outcome.document["name"] == "ci"
    assert outcome.document["token"] == value_of(token)
    assert outcome.document["token"] not in outcome.err


def test_tells_a_person_that_the_value_is_shown_once():
    terminal = Terminal()
    call_command("mint_token", "ci", stdout=terminal)
    value = value_of(NamedToken.objects.get(name="ci"))
    assert terminal.getvalue().splitlines()[1:] == [value, "It is not shown again."]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"can_write": True, "is_active": True, "expires_at": None}),
        (["--read-only"], {"can_write": False}),
        (["--inactive"], {"is_active": False}),
        (["--expires-in", "90s"], {"expires_at": datetime(2026, 12, 1, 12, 1, 30, tzinfo=UTC)}),
        (["--expires-in", "30d"], {"expires_at": datetime(2026, 12, 31, 12, tzinfo=UTC)}),
        (["--expires-at", "2027-01-31"], {"expires_at": datetime(2027, 1, 31, tzinfo=UTC)}),
        (["--expires-at", "2027-01-31T08:30:00+02:00"], {"expires_at": datetime(2027, 1, 31, 6, 30, tzinfo=UTC)}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_makes_what_the_options_ask_for(manage, options, expected):
    with time_machine.travel(NOW, tick=False):
        assert manage("mint_token", "ci", *options).code == 0
    token = NamedToken.objects.get(name="ci")
    assert {name: getattr(token, name) for name in expected} == expected


def test_refuses_a_taken_name_and_leaves_the_token_alone(manage):
    NamedTokenFactory(name="ci", can_write=False)
    outcome = manage("mint_token", "ci")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("CommandError: There is a token named 'ci' already.\n")
    assert not NamedToken.objects.get(name="ci").can_write


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [""],
        ["x" * 256],
        ["a\nb"],
        ["a\x07b"],
        ["a\udcffb"],
        ["ci", "--expires-in", "30"],
        ["ci", "--expires-in", "0d"],
        ["ci", "--expires-in", "-1d"],
        ["ci", "--expires-in", ""],
        ["ci", "--expires-in", "999999w"],
        ["ci", "--expires-at", "tomorrow"],
        ["ci", "--expires-at", "2027-02-30"],
        ["ci", "--expires-at", ""],
        ["ci", "--expires-at", "9999-12-31T23:59:59-12:00"],
        ["ci", "--expires-in", "1d", "--expires-at", "2027-01-31"],
    ],
    ids=line,
)
def test_refuses_wrong_usage_and_stores_nothing(manage, arguments):
    outcome = manage("mint_token", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert not NamedToken.objects.exists()


def test_names_the_user_in_the_audit_log(manage, operator):
    manage("mint_token", "ci")
    assert actor_of("tokens:named_token:mint") == ("command", "command", "jane", "jane (manage.py)")


def test_keeps_the_value_out_of_the_audit_log(manage):
    value = manage("mint_token", "ci").out.strip()
    event = AuditEvent.objects.values().get(action="tokens:named_token:mint")
    assert value not in str(event)
    assert value.rpartition(".")[2] not in str(event)


def test_makes_nothing_without_the_secret(manage, settings):
    settings.TOKENS_SECRET_KEY = ""
    outcome = manage("mint_token", "ci", "--skip-checks")
    assert (outcome.code, outcome.out) == (1, "")
    assert "TOKENS_SECRET_KEY is not set." in outcome.err
    assert not NamedToken.objects.exists()
