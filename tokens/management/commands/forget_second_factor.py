"""`manage.py forget_second_factor`."""

from typing import Any

from django.core.management.base import CommandParser

from tokens import operators
from tokens.core.commands import RegistryCommand


class Command(RegistryCommand):
    """Let an operator who lost their phone sign in with the password alone."""

    help = "Forget the second factor of an operator who lost their phone. They can set up another one."
    example = "forget_second_factor jane"

    def arguments(self, parser: CommandParser) -> None:
        """Whose."""
        parser.add_argument("name", metavar="NAME", help="the operator's name")

    def run(self, options: dict[str, Any]) -> None:
        """Forget it."""
        row = operators.named(options["name"])
        operators.switch_off_second_factor(row, actor=self.actor)
        self.report(f"{row} signs in without a second factor.", {"name": str(row)})
