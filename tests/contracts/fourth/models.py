"""Badges."""

from typing import Any, ClassVar

from django.db import models

from tokens.core.models import Credential


class Badge(Credential):
    """A badge with a number. Its value is signed again from this row."""

    kind = "badge"
    audit_fields: ClassVar[tuple[str, ...]] = ("number", *Credential.audit_fields)

    number = models.CharField(max_length=32, unique=True)

    class Meta(Credential.Meta):
        app_label = "fourth"

    def __str__(self) -> str:
        return self.number

    def claims(self) -> dict[str, Any]:
        return {"badge": self.number}
