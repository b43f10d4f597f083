#!/usr/bin/env python
"""The command line of the token registry; `manage.py help` lists the commands."""

import errno
import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from tokens.management.commands.serve import Command


def main() -> None:
    """Run one command. A setting that makes no sense ends it with one line and exit code 2.

    Without standard output none is begun: a secret would be made and lost. One that is interrupted exits with 130.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if not sys.stdout:
        sys.exit("Standard output is closed; send it to a file or to /dev/null.")
    sys.stdin = sys.stdin or Path(os.devnull).open()  # noqa: SIM115 — for as long as the process lasts
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 — likewise
    try:
        if is_to_serve(sys.argv[1:]):
            Command().run_from_argv(sys.argv)
        else:
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        print(f"Configuration error: {exc}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as exc:
        if exc.errno not in {errno.EPIPE, errno.ENOSPC}:
            raise
        # Of a help that nobody reads, or that there is no room for; the commands see to their own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again at its end
        sys.exit(str(exc))


def is_to_serve(arguments: list[str]) -> bool:
    """Whether this process becomes the server, which loads the project: loading it twice would take twice as long.

    Only Django sees to other settings before it knows the command.
    """
    return arguments[:1] == ["serve"] and not any(one.startswith(("--settings", "--pythonpath")) for one in arguments)


if __name__ == "__main__":
    main()
