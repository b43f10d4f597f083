"""`manage.py make_demo_data`."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from tokens.core import kinds, setup
from tokens.core.commands import RegistryCommand, Usage
from tokens.core.operations import counters


class Command(RegistryCommand):
    """Fill an empty registry with rows to look at."""

    help = "Make many credentials of every kind that can be stored, of which nobody has the secret. For trying out."
    example = "make_demo_data --rows 1000"

    def arguments(self, parser: CommandParser) -> None:
        """How many."""
        parser.add_argument("--rows", type=int, default=1000, help="of each kind (default: 1000)")

    def run(self, options: dict[str, Any]) -> None:
        """Make them, and count them for the overview."""
        if not 0 < options["rows"] <= 10_000_000:
            raise Usage("--rows lies between 1 and 10000000.")
        for steps in setup.all_setups():
            steps.make_demo_data(options["rows"])
        models = [kind.model for kind in kinds.all_kinds() if kind.model is not None]
        for model in models:
            counters.store_stock(model, now=timezone.now())
        self.report(f"Made {options['rows']} of each kind.", {"rows": options["rows"]})
