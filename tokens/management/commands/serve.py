"""`manage.py serve`."""

import os
import re
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from tokens.core.commands import Usage

BIND = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})|unix:.+")


class Command(BaseCommand):
    """Serve the three APIs and the admin."""

    help = "Serve the three APIs and the admin with gunicorn until it is told to stop (TERM, or Ctrl-C)."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser, with an example."""
        return super().create_parser(
            prog_name, subcommand, epilog="example: manage.py serve --bind 0.0.0.0:7000 --workers 4", **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the address and the number of processes."""
        parser.add_argument(
            "--bind",
            metavar="HOST:PORT",
            default=f"127.0.0.1:{settings.PORT}",
            help="where to listen (default: %(default)s)",
        )
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            default=settings.WORKERS,
            help="how many worker processes (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Become gunicorn, with the configuration in `config/gunicorn.py`."""
        match = BIND.fullmatch(options["bind"])
        if match is None or int(match[2] or 0) > 65535:
            raise Usage("--bind must be HOST:PORT, for example 0.0.0.0:7000.")
        if not 1 <= options["workers"] <= 256:
            raise Usage("--workers must be a whole number from 1 to 256.")
        config = settings.BASE_DIR / "config" / "gunicorn.py"
        command = [sys.executable, "-m", "gunicorn", "--config", str(config)]
        command += ["--bind", options["bind"], "--workers", str(options["workers"]), "config.wsgi"]
        sys.stdout.flush()
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, command)  # noqa: S606 — our own interpreter, no shell
