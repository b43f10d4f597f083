"""`manage.py list_publishers`."""

from typing import Any

from podcast_perf.models import Publisher
from tokens.core.commands import RegistryCommand


class Command(RegistryCommand):
    """List the publishers."""

    help = "List the publishers by name, those that were revoked too. No key is shown."
    example = "list_publishers --json"

    def run(self, options: dict[str, Any]) -> None:
        """List them."""
        self.report_keys(Publisher.objects.order_by("name"))
