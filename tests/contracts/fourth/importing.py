"""What `import_records` takes for this app: badges."""

from typing import Any

from rest_framework import serializers

from tests.contracts.fourth import services
from tests.contracts.fourth.models import Badge
from tokens.core import importing
from tokens.core.audit import Actor
from tokens.core.fields import NoUnknownFields, StrictCharField
from tokens.core.importing import Importer


class BadgeLine(NoUnknownFields, serializers.Serializer[Any]):
    number = StrictCharField(max_length=32)


class Badges(Importer):
    kind = label = Badge.kind
    line = BadgeLine()

    def find(self, fields: dict[str, Any]) -> Badge | None:
        return Badge.objects.filter(**fields).first()

    def add(self, fields: dict[str, Any], *, actor: Actor) -> None:
        services.mint(**fields, actor=actor)


importing.register(Badges())
