"""What `import_records` takes for this app: publishers."""

from typing import Any

from rest_framework import serializers

from podcast_perf import services
from podcast_perf.models import Publisher
from tokens.core import importing
from tokens.core.audit import Actor
from tokens.core.fields import NoUnknownFields, StrictBooleanField, StrictCharField
from tokens.core.importing import MomentField, Updater
from tokens.core.models import digest


class PublisherLine(NoUnknownFields, serializers.Serializer[Any]):
    """The line of a publisher."""

    key = StrictCharField(max_length=255)
    name = StrictCharField(max_length=255)
    active = StrictBooleanField(required=False, source="is_active")
    valid_from = MomentField(required=False, source="starts_at")
    valid_to = MomentField(required=False, source="expires_at")


class Publishers(Updater):
    """Publishers, which go on having their keys."""

    kind, label = Publisher.kind, "publisher"
    line = PublisherLine()
    compared = ("name", "is_active", "starts_at", "expires_at")

    def find(self, fields: dict[str, Any]) -> Any:
        """The publisher that has or had this key."""
        return importing.found(Publisher, digest(fields["key"]))

    def add(self, fields: dict[str, Any], *, actor: Actor) -> Publisher:
        """Store it."""
        return services.add_publisher(fields.pop("name"), actor=actor, raw_key=fields.pop("key"), **fields).row

    def update(self, row: Publisher, changes: dict[str, Any], *, actor: Actor) -> None:
        """Change it."""
        services.update_publisher(row, actor=actor, **changes)


importing.register(Publishers())
