"""Runs a command the way `manage.py` does, and catches what it prints and its exit code."""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import execute_from_command_line

from tokens.models import AuditEvent


@dataclass(frozen=True)
class Outcome:
    """What a command left behind. Standard output was no terminal."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that `--json` promises."""
        return json.loads(self.out)


@pytest.fixture
def manage(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run `manage.py` with the arguments given. A traceback is an error of the test."""
    monkeypatch.setattr("django.core.management.base.connections.close_all", lambda: None)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = 0
        try:
            execute_from_command_line(["manage.py", *arguments])
        except SystemExit as exc:
            code = int(exc.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def umask() -> Iterator[None]:
    """The usual mask for new files, which hides nothing from others to read; put back whatever a command sets."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the user who runs the commands."""
    monkeypatch.setenv("LOGNAME", "jane")
    return "jane"


def actor_of(action: str) -> tuple[str, str, str, str]:
    """Who did `action`, as the only audit event of it tells."""
    event = AuditEvent.objects.get(action=action)
    return event.actor_kind, event.channel, event.actor_id, event.actor_label


def table(outcome: Outcome) -> list[list[str]]:
    """The cells of the table that a command printed, its header first."""
    return [re.split(r"  +", line.strip()) for line in outcome.out.splitlines()]


def line(arguments: list[str]) -> str:
    """The name of a test with these arguments."""
    return " ".join(map(ascii, arguments))[:70] or "nothing"
