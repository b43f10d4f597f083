"""`manage.py add_publisher`."""

from typing import Any

from django.core.management.base import CommandParser

from podcast_perf import services
from tokens.core.commands import RegistryCommand, add_validity, described, validity


class Command(RegistryCommand):
    """Add a publisher."""

    help = "Add a publisher, who may fetch performance tokens, and print its X-PUB-KEY."
    example = "add_publisher 'The Daily Bark' --valid-to 2027-01-31"

    def arguments(self, parser: CommandParser) -> None:
        """Add name and validity."""
        parser.add_argument("name", metavar="NAME", help="1 to 255 characters, not taken yet")
        add_validity(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Add it."""
        publisher, key = services.add_publisher(options["name"], actor=self.actor, **validity(options))
        self.report_secret(
            f"Added the publisher {publisher.name!r}. Its X-PUB-KEY:",
            described(publisher) | {"key": key},
            secret=key,
        )
