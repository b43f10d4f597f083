"""`manage.py revoke_publisher`."""

from typing import Any

from django.core.management.base import CommandParser

from podcast_perf import services
from tokens.core.commands import RegistryCommand, add_reason, described


class Command(RegistryCommand):
    """Revoke a publisher's key."""

    help = (
        "Revoke a publisher: its key stops working at once and for good. Tokens that it fetched work until they expire."
    )
    example = "revoke_publisher 'The Daily Bark' --reason 'left the network'"

    def arguments(self, parser: CommandParser) -> None:
        """Add the name and the reason."""
        parser.add_argument("name", metavar="NAME", help="the publisher's name")
        add_reason(parser)

    def run(self, options: dict[str, Any]) -> None:
        """Revoke it."""
        publisher = services.publisher_of(options["name"])
        publisher = services.revoke_publisher(publisher, actor=self.actor, reason=options["reason"])
        self.report(f"Revoked the publisher {publisher.name!r}.", described(publisher))
