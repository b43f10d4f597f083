"""`manage.py serve`."""

import os
import re
import sys
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from tokens.core.command_line import ExampleCommand, Usage

BIND = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})|unix:.+")
GRANIAN_FILE = "requirements-granian.txt"


class Command(ExampleCommand):
    """Serve the three APIs and the admin."""

    help = "Serve the three APIs and the admin until it is told to stop (TERM, or Ctrl-C)."
    # The server itself makes the checks: what they look at is loaded there and not here.
    requires_system_checks = ()
    example = "serve --bind 0.0.0.0:7000 --workers 4"

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the address and the number of processes."""
        parser.add_argument(
            "--bind",
            metavar="HOST:PORT",
            default=f"127.0.0.1:{settings.PORT}",
            help="where to listen, or unix:PATH (default: %(default)s)",
        )
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            default=settings.WORKERS,
            help="how many worker processes (default: %(default)s)",
        )
        parser.add_argument(
            "--server",
            choices=["gunicorn", "granian"],
            default="gunicorn",
            help=f"granian is faster, needs {GRANIAN_FILE}, and a proxy that buffers requests (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Become the server, as `config/gunicorn.py` or `config/granian.py` configures it."""
        match = BIND.fullmatch(options["bind"])
        if match is None or int(match[2] or 0) > 65535:
            raise Usage("--bind must be HOST:PORT, for example 0.0.0.0:7000, or unix:PATH.")
        if not 1 <= options["workers"] <= 256:
            raise Usage("--workers must be a whole number from 1 to 256.")
        is_gunicorn = options["server"] == "gunicorn"
        arguments = of_gunicorn if is_gunicorn else of_granian
        command = [sys.executable, "-m", *arguments(options["bind"], str(options["workers"]))]
        # gunicorn begins anew (USR2) as the file that it is, whose folder has modules of the names of others.
        environment = os.environ | ({"PYTHONSAFEPATH": "1"} if is_gunicorn else {})
        sys.stdout.flush()
        os.chdir(settings.BASE_DIR)
        os.execve(sys.executable, command, environment)  # noqa: S606 — our own interpreter, no shell


def of_gunicorn(bind: str, workers: str) -> list[str]:
    """The module to run, and its arguments."""
    config = settings.BASE_DIR / "config" / "gunicorn.py"
    return ["gunicorn", "--config", str(config), "--bind", bind, "--workers", workers, "config.wsgi"]


def of_granian(bind: str, workers: str) -> list[str]:
    """The same. Raises `CommandError` without the package, and `Usage` for what only gunicorn can do."""
    if find_spec("granian") is None:
        raise CommandError(f"granian is not installed. Run: pip install --require-hashes -r {GRANIAN_FILE}")
    if bind.startswith("unix:"):
        raise Usage("--server granian serves at HOST:PORT; a unix socket needs gunicorn.")
    for name in ("GUNICORN_CMD_ARGS", "SCRIPT_NAME"):
        if os.environ.get(name):
            raise Usage(f"--server granian does not read {name}; take it out.")
    host, _, port = bind.rpartition(":")
    return ["config.granian", host.strip("[]"), port, workers]
