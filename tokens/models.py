"""The named tokens of `/_/token`, and the audit log that all apps write."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django_otp.models import Device, ThrottlingMixin
from django_otp.plugins.otp_totp.models import TOTPDevice

from tokens.core.models import (
    AuditEvent,
    DailyCount,
    Notice,
    Recorded,
    RetiredSecret,
    RotatableCredential,
    digest,
    is_same,
    no_controls,
    prefix_index,
)

__all__ = [
    "AuditEvent",
    "DailyCount",
    "NamedToken",
    "Notice",
    "Operator",
    "OperatorPolicy",
    "RecoveryCodes",
    "RetiredSecret",
]


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
        indexes = [
            *RotatableCredential.Meta.indexes,
            prefix_index("name", name="namedtoken_prefix"),
            # For a page that begins behind a name, which may be that of a token that was revoked.
            models.Index(fields=["name"], name="namedtoken_by_name"),
        ]
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


class Operator(Recorded, User):
    """Somebody who signs in to the admin: Django's user, whose changes and sign-ins are audited."""

    kind = "operator"
    audit_fields: ClassVar[tuple[str, ...]] = (
        *("username", "is_active", "is_staff", "is_superuser", "roles"),
        *("has_second_factor", "must_have_second_factor", "recovery_codes_left"),
    )

    class Meta:
        proxy = True
        default_permissions = ()
        ordering = ["username"]

    @property
    def roles(self) -> list[str]:
        """The names of the groups that say what this operator may do."""
        return sorted(self.groups.values_list("name", flat=True))

    @property
    def has_second_factor(self) -> bool:
        """Whether this operator has switched the second factor on."""
        return bool(TOTPDevice.objects.filter(user_id=self.pk, confirmed=True).exists())

    @property
    def recovery_codes_left(self) -> int:
        """How many recovery codes this operator can still use."""
        return sum(map(len, RecoveryCodes.objects.filter(user_id=self.pk).values_list("digests", flat=True)))

    @property
    def must_have_second_factor(self) -> bool:
        """Whether a superuser requires the second factor of this operator."""
        return OperatorPolicy.objects.filter(user_id=self.pk, must_have_second_factor=True).exists()


class RecoveryCodes(ThrottlingMixin, Device):
    """The recovery codes of an operator: each is good once, in place of the phone that gives the second factor.

    The library's own kind of it keeps the codes themselves; of these a dump of the database gives digests.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digests = models.JSONField(default=list, editable=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{len(self.digests)} recovery codes of {self.user}"

    def get_throttle_factor(self) -> int:
        """The seconds that the first mistake costs, doubled by each that follows: as many as one with the phone."""
        return int(getattr(settings, "OTP_TOTP_THROTTLE_FACTOR", 1))

    def verify_token(self, token: str) -> bool:
        """Whether `token` is one of the codes, which then is good no more. The row must be locked."""
        is_allowed, _ = self.verify_is_allowed()
        if not is_allowed:
            return False
        presented = digest(plain_code(token))
        left = [stored for stored in self.digests if not is_same(stored, presented)]
        if len(left) == len(self.digests):
            self.throttle_increment()
            return False
        self.digests = left
        self.throttle_reset(commit=False)
        self.save()
        return True


def plain_code(typed: str) -> str:
    """A recovery code as it counts, however somebody has spaced it."""
    return typed.replace("-", "").replace(" ", "").lower()


class OperatorPolicy(models.Model):
    """What a superuser requires of one operator."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="policy")
    first_password = models.CharField(max_length=64, blank=True, editable=False)
    must_have_second_factor = models.BooleanField(
        "require a second factor", default=False, help_text="Nothing but setting one up is possible without it."
    )

    class Meta:
        default_permissions = ()
        verbose_name = "requirement"

    def __str__(self) -> str:
        return f"Requirements of {self.user}"
