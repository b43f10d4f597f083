"""What commands understand and how they print."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tokens.core.command_line import Usage
from tokens.core.commands import RegistryCommand, duration, moment
from tokens.core.errors import NotFound


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("1s", timedelta(seconds=1)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("4w", timedelta(weeks=4)),
        ("007d", timedelta(days=7)),
    ],
)
def test_reads_a_duration(raw, expected):
    assert duration(raw) == expected


@pytest.mark.parametrize(
    "raw", ["", "30", "d", "0d", "-1d", "1.5h", "1 d", "1D", "1y", "1d1h", "1d\n", "٣d", "1234567d"]
)
def test_refuses_what_is_no_duration(raw):
    with pytest.raises(Usage, match="is not a duration") as refused:
        duration(raw)
    assert refused.value.returncode == 2


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:30", datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
        ("2027-01-31 12:30:15", datetime(2027, 1, 31, 12, 30, 15, tzinfo=UTC)),
        ("2027-01-31T12:00:00Z", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31T12:00:00+02:00", datetime(2027, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))),
        ("2028-02-29", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_reads_a_moment(raw, expected):
    assert moment(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "tomorrow",
        "2027",
        "2027-13-01",
        "2027-02-29",
        "31.01.2027",
        "2027-01-31T25:00",
        "1790000000",
    ],
)
def test_refuses_what_is_no_moment(raw):
    with pytest.raises(Usage, match="is not a date") as refused:
        moment(raw)
    assert refused.value.returncode == 2


class Refusing(RegistryCommand):
    """A command whose service refuses."""

    def run(self, options):
        raise NotFound("There is nothing.")


def test_turns_a_refusal_into_exit_code_1(capsys):
    with pytest.raises(SystemExit) as ended:
        Refusing().run_from_argv(["manage.py", "refuse", "--skip-checks"])
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "CommandError: There is nothing.\n")


def test_knows_no_name_for_a_user_who_has_none(monkeypatch):
    def fail():
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", fail)
    assert Refusing().actor.label == "unknown (manage.py)"
