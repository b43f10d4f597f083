"""What all commands have in common (the contract, "Commands")."""

import errno
import os
import re

import pytest
from django.core.management import get_commands, load_command_class
from django.db import DatabaseError, OperationalError, ProgrammingError

import manage as entrance
from tests.core.process import PYTHON, ROOT, run
from tests.factories import ProfileFactory

APPS = {"tokens", "podcast_perf", "edi_auth"}
COMMANDS = {
    "mint_token": ["ci"],
    "revoke_token": ["ci"],
    "list_tokens": [],
    "mint_performance_token": [],
    "revoke_performance_token": ["lwus8z6p-d6260a7ddbb086e4"],
    "add_profile": ["--idp", "orcid", "--idp-uid", "https://orcid.org/0000-0002-1825-0097"],
    "mint_api_key": ["EDI-5017d16f70178f86d41c900ec4e88d1f303ce4cb", "laptop"],
    "revoke_api_key": ["R9arQ"],
    "list_api_keys": ["EDI-5017d16f70178f86d41c900ec4e88d1f303ce4cb"],
    "lock": ["EDI-5017d16f70178f86d41c900ec4e88d1f303ce4cb"],
    "end_tokens": ["EDI-5017d16f70178f86d41c900ec4e88d1f303ce4cb"],
    "add_publisher": ["Feeds"],
    "list_publishers": [],
    "revoke_publisher": ["Feeds"],
}
NEEDED = {**COMMANDS, "import_records": ["records.jsonl"]}
ALL = [*NEEDED, "generate_keys", "init", "introspect", "serve", "doctor", "backup", "notify_expiring"]


@pytest.mark.parametrize("command", ALL)
def test_shows_an_example_in_its_help(manage, command):
    outcome = manage(command, "--help")
    assert outcome.code == 0
    example = f"example: manage.py {load_command_class(get_commands()[command], command).example}"
    assert example in outcome.out.splitlines()


def test_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    ours = {name for name, app in get_commands().items() if app in APPS}
    assert ours >= set(ALL)
    assert sorted(name for name in ours if not re.search(rf"^\|.*`{name}\b", text, re.MULTILINE)) == []


@pytest.mark.parametrize("command", ALL)
def test_refuses_an_unknown_option(manage, command):
    outcome = manage(command, *NEEDED.get(command, []), "--frobnicate")
    assert outcome.code == 2
    assert outcome.out == ""
    assert "--frobnicate" in outcome.err


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        *((command, arguments) for command, arguments in COMMANDS.items() if arguments),
        ("rotate_token", ["ci", "--show"]),
        ("rotate_api_key", ["R9arQ", "--show"]),
        ("rotate_publisher", ["Feeds", "--show"]),
        ("forget_second_factor", ["jane"]),
    ],
)
def test_refuses_an_argument_that_is_no_text(manage, command, arguments):
    broken = [argument if argument.startswith("--") else os.fsdecode(b"\xff") for argument in arguments]
    broken[: 2 * (command == "add_profile")] = arguments[: 2 * (command == "add_profile")]
    outcome = manage(command, *broken)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1].startswith("Usage: ")


@pytest.mark.parametrize(("command", "arguments"), COMMANDS.items())
def test_says_in_a_sentence_that_the_database_is_away(manage, monkeypatch, command, arguments):
    def refuse(*args, **kwargs):
        raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.ensure_connection", refuse)
    outcome = manage(command, *arguments)
    assert outcome.code == 1
    assert outcome.err.endswith("CommandError: The database cannot be used: connection refused\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DatabaseError("file is not a database"), "file is not a database"),
        (ProgrammingError('relation "x" does not exist\nLINE 1: SELECT'), 'relation "x" does not exist'),
    ],
)
def test_says_in_a_sentence_that_the_database_is_another(manage, monkeypatch, error, words):
    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.ensure_connection", refuse)
    outcome = manage("list_tokens")
    assert outcome.code == 1
    assert outcome.err.endswith(f"CommandError: The database cannot be used: {words}\n")


def test_says_in_a_sentence_that_nobody_takes_what_it_prints(manage, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tokens.management.commands.list_tokens.Command.run", refuse)
    outcome = manage("list_tokens")
    assert outcome.code == 1
    assert outcome.err.endswith("CommandError: [Errno 28] No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        pytest.param(["revoke_token", "ci"], 1, "CommandError", id="refused"),
        pytest.param(["revoke_token"], 2, "usage: manage.py revoke_token", id="usage"),
        pytest.param(["mint_token", "ci", "--expires-in", "soon"], 2, "Usage: 'soon' is not a duration", id="argument"),
    ],
)
def test_exits_with_its_code_from_a_shell(tmp_path, arguments, code, sentence):
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/none/db.sqlite3"}
    done = run(PYTHON, "manage.py", *arguments, environment=environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def shell(tmp_path):
    """Runs a line of shell in which `manage` is `manage.py`, with a database of its own."""
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path}/registry.sqlite3",
        "PYTHON": PYTHON,
    }
    run(PYTHON, "manage.py", "migrate", "-v0", environment=environment)
    manage = 'manage() { "$PYTHON" manage.py "$@"; }; '
    return lambda line: run("sh", "-c", manage + line, environment=environment)


def test_begins_nothing_without_standard_output(shell):
    done = shell("manage mint_token ci >&-")
    assert (done.returncode, done.stderr) == (1, "Standard output is closed; send it to a file or to /dev/null.\n")
    assert "nothing to list" in shell("manage list_tokens").stdout


@pytest.mark.parametrize("elsewhere", [">&-", ">/dev/full"])
def test_prints_a_secret_where_nobody_hears_of_it(shell, elsewhere):
    done = shell(f"manage mint_token ci 2{elsewhere}")
    assert done.returncode == 0
    assert re.fullmatch(r"\S+\.\S+\.\S+\n", done.stdout)


def test_reads_nothing_without_standard_input(shell):
    done = shell("manage introspect <&-")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_says_in_a_line_that_nobody_reads_the_help(shell):
    done = shell("manage help >/dev/full")
    assert (done.returncode, done.stderr) == (1, "[Errno 28] No space left on device\n")


def test_ends_quietly_when_it_is_interrupted(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(entrance, "execute_from_command_line", interrupt)
    with pytest.raises(SystemExit) as ended:
        entrance.main()
    assert ended.value.code == 130


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["mint_token", "mint_api_key"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "must not be empty."),
        ("x" * 256, "must have at most 255 characters."),
        ("a\nb", "must not contain control characters."),
    ],
)
def test_refuses_a_name_in_the_words_of_the_apis(manage, command, name, words):
    outcome = manage(command, *([ProfileFactory().edi_id] if command == "mint_api_key" else []), name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.endswith(f"Usage: name: {words}\n")


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["lock", "end_tokens", "list_api_keys", "revoke_publisher", "import_records"])
def test_says_nothing_that_a_terminal_would_obey(manage, command):
    outcome = manage(command, "a\x1b[31mb\u202ec")
    assert outcome.code == 1
    assert "\x1b[31m" not in outcome.err
    assert "\u202e" not in outcome.err


@pytest.mark.django_db
def test_tells_that_a_secret_was_lost(manage, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("django.core.management.base.OutputWrapper.flush", fail)
    outcome = manage("add_publisher", "Feeds")
    assert outcome.code == 1
    assert outcome.err.endswith(
        "CommandError: Added the publisher 'Feeds', but the secret cannot be written (No space left on device) and is "
        "lost: rotate or revoke it.\n"
    )
