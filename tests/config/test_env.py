"""Reading variables from the environment and from the file: what is kept, what is left out, who wins."""

import os

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env

AWKWARD = [
    "$ecret",
    "$SECRET_KEY",
    "${HOME}",
    "a$b",
    "$$",
    "a#b",
    "with space",
    "a=b=c",
    "ünïcode",
    "{braces}",
    "%(x)s",
]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Read a file with the given text into an environment without `EXPIRES_IN` and `SECRET_KEY`."""
    for name in ("EXPIRES_IN", "SECRET_KEY"):
        monkeypatch.setenv(name, "to be restored")
        del os.environ[name]

    def read(text: str | bytes) -> None:
        (tmp_path / "file").write_bytes(text if isinstance(text, bytes) else text.encode())
        env.load(tmp_path / "file")

    return read


@pytest.mark.parametrize("value", AWKWARD)
def test_keeps_a_value_of_the_environment_verbatim(monkeypatch, value):
    monkeypatch.setenv("SECRET_KEY", value)
    assert env.text("SECRET_KEY") == value


@pytest.mark.parametrize("value", [value for value in AWKWARD if "#" not in value])
def test_keeps_a_bare_value_of_the_file_verbatim(load, value):
    load(f"SECRET_KEY={value}\n")
    assert env.text("SECRET_KEY") == value


@pytest.mark.parametrize("value", [*AWKWARD, "a # b", "#"])
@pytest.mark.parametrize("quote", ["'", '"'], ids=["single", "double"])
def test_keeps_a_quoted_value_of_the_file_verbatim(load, value, quote):
    load(f"SECRET_KEY={quote}{value}{quote}\n")
    assert env.text("SECRET_KEY") == value


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("EXPIRES_IN=2", "2"),
        ("EXPIRES_IN=2 # hours", "2"),
        ("EXPIRES_IN=2   #hours", "2"),
        ("EXPIRES_IN='2' # hours", "2"),
        ('EXPIRES_IN="2" # hours', "2"),
        ('EXPIRES_IN="2"', "2"),
        ("export EXPIRES_IN=2", "2"),
        ("EXPIRES_IN= 2 ", "2"),
        ("EXPIRES_IN=2\r", "2"),
        ("EXPIRES_IN=", ""),
        ("EXPIRES_IN= # the default", ""),
        ("# EXPIRES_IN=2", "unset"),
        ("#EXPIRES_IN=2", "unset"),
        ("  # EXPIRES_IN=2", "unset"),
        ("  ", "unset"),
    ],
)
def test_reads_a_line_of_the_file(load, line, expected):
    load(f"\n{line}\nSECRET_KEY=behind\n")
    assert env.text("EXPIRES_IN", "unset") == expected
    assert env.text("SECRET_KEY") == "behind"


def test_reads_a_file_that_begins_with_a_byte_order_mark(load):
    load(b"\xef\xbb\xbfEXPIRES_IN=2\r\n")
    assert env.text("EXPIRES_IN", "unset") == "2"


@pytest.mark.parametrize(
    "line",
    [
        "SECRET_KEY = hunter2",
        "hunter2",
        "=hunter2",
        "  SECRET_KEY=hunter2",
        "SECRET_KEY=hunter2\0",
        "SECRET-KEY=hunter2",
    ],
)
def test_refuses_a_line_that_sets_nothing_and_shows_nothing_of_it(load, caplog, line):
    with pytest.raises(ImproperlyConfigured, match="line 2 is neither NAME=value nor a comment") as refused:
        load(f"EXPIRES_IN=2\n{line}\n")
    assert "hunter2" not in str(refused.value) + caplog.text
    assert env.text("EXPIRES_IN", "unset") == "unset"


def test_refuses_a_file_that_is_no_text(load):
    with pytest.raises(ImproperlyConfigured, match=r"file is not UTF-8\.$"):
        load(b"EXPIRES_IN=\xff\n")


def test_says_that_the_file_cannot_be_read(load, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(ImproperlyConfigured, match=r"file cannot be read: Permission denied\.$"):
        load("EXPIRES_IN=2\n")


def test_refuses_a_folder(tmp_path):
    with pytest.raises(ImproperlyConfigured, match=r" is a folder\.$"):
        env.load(tmp_path)


@pytest.mark.parametrize("value", ["4", ""])
def test_lets_the_environment_win_over_the_file(load, monkeypatch, value):
    monkeypatch.setenv("EXPIRES_IN", value)
    load("EXPIRES_IN=2\n")
    assert env.text("EXPIRES_IN", "unset") == value


def test_reads_nothing_from_a_file_that_is_missing(tmp_path):
    before = dict(os.environ)
    env.load(tmp_path / "missing")
    assert dict(os.environ) == before
