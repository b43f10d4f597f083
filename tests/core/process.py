"""Runs a program of the project in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PYTHON = sys.executable
# What a process needs to start at all; nothing that the project reads.
BARE = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}


def run(*command: str, environment: Mapping[str, str] = BARE) -> subprocess.CompletedProcess[str]:
    """Run `command` in the folder of the project, and wait for its end."""
    return subprocess.run(  # noqa: S603 — the tests' own commands
        command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, timeout=300, check=False
    )


def start(*command: str, environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Start `command` in the folder of the project; what it prints goes to the end of the file `log`."""
    with log.open("a") as file:
        return subprocess.Popen(  # noqa: S603 — the tests' own commands
            command, cwd=ROOT, env=dict(environment), stdout=file, stderr=file
        )
