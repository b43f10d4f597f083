"""The named tokens of `/_/token`, and the audit log that all apps write."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django.db import models

from tokens.core.models import AuditEvent, RotatableCredential, no_controls

__all__ = ["AuditEvent", "NamedToken"]


ISSUER = "token"


class NamedToken(RotatableCredential):
    """A bearer token that goes by a name. Its value is signed again from this row whenever it is asked for."""

    kind = "named_token"
    fingerprint_field = "subject"
    audit_fields: ClassVar[tuple[str, ...]] = ("name", "can_write", *RotatableCredential.audit_fields)

    name = models.CharField(max_length=255, validators=[no_controls])
    subject = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    can_write = models.BooleanField("may write", default=True)
    updated_at = models.DateTimeField(editable=False)

    class Meta(RotatableCredential.Meta):
        ordering = ["id"]
        # For a page that begins behind a name, which may be that of a token that was revoked.
        indexes = [*RotatableCredential.Meta.indexes, models.Index(fields=["name"], name="namedtoken_by_name")]
        constraints = [
            models.UniqueConstraint(
                fields=["name"],
                condition=models.Q(revoked_at__isnull=True),
                name="namedtoken_name",
                violation_error_message="There is a token of that name already.",
            ),
            models.CheckConstraint(condition=~models.Q(name=""), name="namedtoken_name_not_empty"),
        ]

    def __str__(self) -> str:
        return self.name

    def claims(self) -> dict[str, Any]:
        """The claims of this token's value: no `exp`, because the registry decides."""
        return {"sub": str(self.subject), "iat": int((self.rotated_at or self.created_at).timestamp()), "iss": ISSUER}

    def shown_expiry(self) -> datetime:
        """The expiry as `/_/token` documents it: `updated_at` for a token that does not expire."""
        return self.expires_at or self.updated_at
