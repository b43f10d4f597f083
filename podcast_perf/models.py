"""Publishers, the holders of an X-PUB-KEY, and the performance tokens that they were given."""

from datetime import datetime
from typing import Any, ClassVar

from django.db import models

from tokens.core.models import Credential, RotatableCredential, no_controls


class Publisher(RotatableCredential):
    """A podcast host that may fetch admin tokens. Of its key the digest is kept and a few characters to know it by."""

    kind = "publisher"
    fingerprint_field = "key_hash"
    audit_fields: ClassVar[tuple[str, ...]] = ("name", "preview", *RotatableCredential.audit_fields)

    name = models.CharField(max_length=255, unique=True, validators=[no_controls])
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    preview = models.CharField(max_length=5, editable=False)

    class Meta(RotatableCredential.Meta):
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=~models.Q(name=""), name="publisher_name_not_empty")]

    def __str__(self) -> str:
        return self.name


class PerformanceToken(Credential):
    """The claims of a token of `GET /token`; the signed text is stored nowhere."""

    kind = "performance_token"
    audit_fields: ClassVar[tuple[str, ...]] = ("serial", "is_admin", *Credential.audit_fields)

    serial = models.CharField("s", max_length=40, unique=True, editable=False)
    duration = models.CharField("d", max_length=16, editable=False)
    is_admin = models.BooleanField("admin", default=True, editable=False)
    publisher = models.ForeignKey(
        Publisher, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="performance_tokens"
    )

    class Meta(Credential.Meta):
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__isnull=False, expires_at__gt=models.F("created_at")),
                name="performancetoken_expires",
            )
        ]

    def __str__(self) -> str:
        return self.serial

    @property
    def owner_label(self) -> str:
        """The publisher that fetched it."""
        return str(self.publisher or "")

    def claims(self) -> dict[str, Any]:
        """The payload, in the documented order; `a` only for admin tokens."""
        expires_at: datetime = self.expires_at  # type: ignore[assignment]  # a constraint: never null
        return {
            "s": self.serial,
            "d": self.duration,
            **({"a": True} if self.is_admin else {}),
            "iat": int(self.created_at.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
