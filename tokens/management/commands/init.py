"""`manage.py init`."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandParser

from tokens.core.commands import RegistryCommand
from tokens.core.errors import NotConfigured
from tokens.core.setup import Made, Run, all_setups


class Command(RegistryCommand):
    """Make everything that must exist before the server can start."""

    help = (
        "Make what is missing and overwrite nothing: fresh secrets in .env, key files, database tables, "
        "the first operator and the first named token. Prints each secret once."
    )
    example = "init --demo"
    requires_system_checks: list[str] = []  # noqa: RUF012 — Django's own idiom; the checks need what this makes

    def arguments(self, parser: CommandParser) -> None:
        """Add the switch for a demonstration."""
        parser.add_argument("--demo", action="store_true", help="also make a demo profile with an API key")

    def run(self, options: dict[str, Any]) -> None:
        """Take the steps of all apps."""
        fresh = self._make_secrets(settings.ENV_FILE)
        files = [path for setup in all_setups() for path in setup.make_files()]
        settings.VAR_DIR.mkdir(exist_ok=True, mode=0o700)
        if settings.WHITENOISE_USE_FINDERS:
            settings.STATIC_ROOT.mkdir(exist_ok=True, parents=True)
        os.umask(0o077)
        call_command("migrate", verbosity=0, interactive=False)
        run = Run(base_url=f"http://127.0.0.1:{settings.PORT}", fresh=fresh, is_demo=options["demo"])
        made = [thing for setup in all_setups() for thing in setup.make_rows(run)]
        if self.is_json:
            rows = [{"label": thing.label, "secret": thing.secret, "example": thing.example} for thing in made]
            self.report("", {"variables": list(fresh), "files": [str(path) for path in files], "made": rows})
        else:
            self._tell(list(fresh), files, made)

    def _make_secrets(self, path: Path) -> dict[str, str]:
        for name in (name for setup in all_setups() for name in setup.needed):
            if not os.environ.get(name, "unset").strip():
                raise NotConfigured(f"{name} is set to nothing, in {path} or in the environment. Remove that line.")
        fresh = {
            name: make() for setup in all_setups() for name, make in setup.secrets.items() if name not in os.environ
        }
        if fresh:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.fchmod(descriptor, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                if file.tell() and not path.read_text(encoding="utf-8").endswith("\n"):
                    file.write("\n")
                file.writelines(f"{name}={value}\n" for name, value in fresh.items())
        for name, value in fresh.items():
            os.environ[name] = value
            setattr(settings, name, value)
        return fresh

    def _tell(self, variables: list[str], files: list[Path], made: list[Made]) -> None:
        if variables:
            self.stdout.write(f"Wrote to {settings.ENV_FILE}: {', '.join(variables)}")
        for path in files:
            self.stdout.write(f"Wrote {path}")
        if not made:
            self.stdout.write("Everything is set up.")
            return
        self.stdout.write("\nMade, and shown this once:\n")
        for thing in made:
            self.stdout.write(f"  {thing.label}:\n    {thing.secret}")
        self.stdout.write("\nTry it, once the server runs:\n")
        for thing in made:
            if thing.example:
                self.stdout.write(f"{thing.example}\n")
