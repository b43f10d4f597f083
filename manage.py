#!/usr/bin/env python
"""The command line of the token registry; `manage.py help` lists the commands."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from tokens.management.commands.serve import Command


def main() -> None:
    """Run one command. A setting that makes no sense ends it with one line and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        if is_to_serve(sys.argv[1:]):
            Command().run_from_argv(sys.argv)
        else:
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        print(f"Configuration error: {exc}", file=sys.stderr)
        sys.exit(2)


def is_to_serve(arguments: list[str]) -> bool:
    """Whether this process becomes the server, which loads the project: loading it twice would take twice as long.

    Only Django sees to other settings before it knows the command.
    """
    return arguments[:1] == ["serve"] and not any(one.startswith(("--settings", "--pythonpath")) for one in arguments)


if __name__ == "__main__":
    main()
