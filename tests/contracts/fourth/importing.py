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


def store_badge(*, actor: Actor, number: str) -> bool:
    if Badge.objects.filter(number=number).exists():
        return False
    services.mint(number, actor=actor)
    return True


importing.register(Importer(Badge.kind, "badge", BadgeLine(), store_badge))
