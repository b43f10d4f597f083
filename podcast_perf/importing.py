"""What `import_records` takes for this app: publishers."""

from typing import Any

from rest_framework import serializers

from podcast_perf import services
from podcast_perf.models import Publisher
from tokens.core import importing
from tokens.core.audit import Actor
from tokens.core.fields import NoUnknownFields, StrictBooleanField, StrictCharField
from tokens.core.importing import Importer, MomentField


class PublisherLine(NoUnknownFields, serializers.Serializer[Any]):
    """The line of a publisher."""

    key = StrictCharField(max_length=255)
    name = StrictCharField(max_length=255)
    active = StrictBooleanField(required=False, source="is_active")
    valid_from = MomentField(required=False, allow_null=True, source="starts_at")
    valid_to = MomentField(required=False, allow_null=True, source="expires_at")


def store_publisher(*, actor: Actor, name: str, key: str, **fields: Any) -> bool:
    """Store a publisher that goes on having its key."""
    if services.find_publisher(key) is not None:
        return False
    services.add_publisher(name, actor=actor, raw_key=key, **fields)
    return True


importing.register(Importer(Publisher.kind, "publisher", PublisherLine(), store_publisher))
