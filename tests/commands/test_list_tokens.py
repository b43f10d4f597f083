"""`manage.py list_tokens`."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from tests.factories import NamedTokenFactory, value_of

pytestmark = pytest.mark.django_db


def test_shows_a_line_per_token_by_creation(manage):
    for name in ("zebra", "ant"):
        NamedTokenFactory(name=name)
    header, *lines = manage("list_tokens").out.splitlines()
    assert header.split()[:3] == ["name", "may", "state"]
    assert [line.split()[0] for line in lines] == ["zebra", "ant"]


def test_shows_what_a_token_may_and_is(manage):
    created_at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    NamedTokenFactory(name="ci", can_write=False, is_active=False, created_at=created_at)
    line = manage("list_tokens").out.splitlines()[1]
    assert line.split() == ["ci", "read", "inactive", "2026-01-02", "03:04", "UTC", "never", "never"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_shows_no_value(manage, options):
    value = value_of(NamedTokenFactory(name="ci"))
    outcome = manage("list_tokens", *options)
    assert "ci" in outcome.out
    assert value not in outcome.out + outcome.err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_leaves_out_what_was_revoked(manage, options):
    NamedTokenFactory(name="gone", revoked_at=timezone.now())
    NamedTokenFactory(name="here")
    out = manage("list_tokens", *options).out
    assert "gone" not in out
    assert "here" in out


def test_prints_one_json_document_as_the_api_shows_them(manage, api):
    bearer = value_of(NamedTokenFactory(name="bearer", last_used_at=timezone.now()))
    NamedTokenFactory(name="ci", can_write=False)
    document = manage("list_tokens", "--json").document
    assert document == {"rows": api.call("GET", "/_/token", bearer=bearer).json()["data"]}


def test_says_that_there_is_nothing(manage):
    assert manage("list_tokens").out == "There is nothing to list.\n"


def test_prints_an_empty_json_document(manage):
    assert manage("list_tokens", "--json").document == {"rows": []}


def test_keeps_control_characters_from_the_terminal(manage):
    NamedTokenFactory(name="a\x1b[31m\x07b")
    out = manage("list_tokens").out
    assert not {"\x1b", "\x07"} & set(out)


def test_refuses_an_argument(manage):
    assert manage("list_tokens", "ci").code == 2
