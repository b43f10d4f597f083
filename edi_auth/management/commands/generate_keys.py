"""`manage.py generate_keys`."""

from typing import Any

from edi_auth import setup
from tokens.core.commands import RegistryCommand


class Command(RegistryCommand):
    """Make the key files."""

    help = (
        "Make the private keys that sign EDI tokens (P-256) and PASTA tokens (RSA 2048) where they are missing. "
        "A key that is there is never overwritten."
    )
    example = "generate_keys"
    requires_system_checks: list[str] = []  # noqa: RUF012 — Django's own idiom; the checks ask for what this makes

    def run(self, options: dict[str, Any]) -> None:
        """Make them."""
        made = [str(path) for path in setup.make_files()]
        sentence = "\n".join(f"Wrote {path}" for path in made) or "Both key files are there already."
        self.report(sentence, {"files": made})
