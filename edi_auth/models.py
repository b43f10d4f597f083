"""Profiles and groups, the principals of EDI tokens, and the API keys that are exchanged for tokens."""

import hashlib
import secrets
from datetime import datetime
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from tokens.core.models import Range, Recorded, RotatableCredential, State, no_controls, prefix_index
from tokens.core.prepared import Slot

# A star would end the first part of a PASTA token's text, a control character would end a header line.
no_stars = RegexValidator(r"\A[^*\x00-\x1f\x7f-\x9f]+\Z", "must not contain stars or control characters.")

# The system principals that everybody, everybody with an identity, and every LDAP identity belong to.
PUBLIC, AUTHENTICATED, VETTED = "public", "authenticated", "vetted"


def edi_id_of(idp_uid: str) -> str:
    """The EDI-ID of an identity: `EDI-` and the first 40 hex digits of the SHA-256 of its `idp_uid`."""
    return f"EDI-{hashlib.sha256(idp_uid.encode()).hexdigest()[:40]}"


def uid_of(idp: str, idp_uid: str, email: str) -> str:
    """What tokens call an identity: its `idp_uid`, for Google the e-mail address."""
    return email if idp == Idp.GOOGLE else idp_uid


def random_edi_id() -> str:
    """An EDI-ID for what has no identity of its own, a group."""
    return f"EDI-{secrets.token_hex(20)}"


def not_reserved(value: str) -> None:
    """Refuse the names of system principals, whose PASTA tokens are nobody's own."""
    if value.lower() in {PUBLIC, AUTHENTICATED, VETTED}:
        raise ValidationError(f"{value} is the name of a system principal.")


class Idp(models.TextChoices):
    """The identity providers whose identities profiles stand for."""

    LDAP = "ldap", "LDAP"
    GOOGLE = "google", "Google"
    ORCID = "orcid", "ORCID"
    GITHUB = "github", "GitHub"
    MICROSOFT = "microsoft", "Microsoft"


class Principal(Recorded):
    """What profiles and groups share: an EDI-ID, the lock, and the moment from before which no token counts."""

    edi_id = models.CharField("EDI-ID", max_length=44, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    locked_at = models.DateTimeField(null=True, blank=True, editable=False, db_index=True)
    tokens_valid_after = models.DateTimeField(null=True, blank=True, editable=False, db_index=True)

    class Meta:
        abstract = True
        # No `delete`: an identity never goes, or its tokens would be nobody's.
        default_permissions = ("view", "add", "change", "lock", "end_tokens")


class Profile(Principal):
    """A person's identity with one identity provider."""

    kind = "profile"
    audit_fields: ClassVar[tuple[str, ...]] = (
        *(
            "edi_id",
            "idp",
            "idp_uid",
            "common_name",
            "email",
            "is_email_enabled",
            "is_email_verified",
            "is_administrator",
        ),
        *("link_ids", "locked_at", "tokens_valid_after"),
    )

    idp = models.CharField("identity provider", max_length=16, choices=Idp.choices)
    idp_uid = models.CharField(
        "identity",
        max_length=255,
        unique=True,
        validators=[no_stars, not_reserved],
        help_text="As the provider names it.",
    )
    common_name = models.CharField(max_length=255, blank=True, validators=[no_controls])
    email = models.EmailField("e-mail", blank=True)
    is_email_enabled = models.BooleanField("e-mail notifications", default=False)
    is_email_verified = models.BooleanField("e-mail verified", default=False)
    is_administrator = models.BooleanField("administrator", default=False)
    links = models.ManyToManyField("self", blank=True, verbose_name="linked profiles")

    class Meta(Principal.Meta):
        ordering = ["id"]
        indexes = [
            prefix_index("common_name", name="profile_common_name"),
            prefix_index("email", name="profile_email"),
            models.Index(fields=["idp"], name="profile_idp"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(edi_id__startswith="EDI-") & ~models.Q(idp_uid=""), name="profile_identity"
            ),
            models.CheckConstraint(
                condition=~models.Q(idp=Idp.GOOGLE) | ~models.Q(email=""), name="profile_google_has_email"
            ),
        ]

    def __str__(self) -> str:
        return self.common_name or self.idp_uid

    @property
    def uid(self) -> str:
        """What tokens call this identity: the `idp_uid`, for Google the e-mail address."""
        return uid_of(self.idp, self.idp_uid, self.email)

    @property
    def link_ids(self) -> list[str]:
        """The EDI-IDs of the linked profiles."""
        return sorted(self.links.values_list("edi_id", flat=True))


class Group(Principal):
    """A group of profiles, which can have API keys of its own."""

    kind = "group"
    audit_fields: ClassVar[tuple[str, ...]] = ("edi_id", "name", "member_ids", "locked_at", "tokens_valid_after")

    name = models.CharField(max_length=255, unique=True, validators=[no_controls])
    members = models.ManyToManyField(Profile, blank=True, related_name="principal_groups")

    class Meta(Principal.Meta):
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(edi_id__startswith="EDI-") & ~models.Q(name=""), name="group_identity"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def member_ids(self) -> list[str]:
        """The EDI-IDs of the members."""
        return sorted(self.members.values_list("edi_id", flat=True))


class ApiKey(RotatableCredential):
    """A key that its owner exchanges for tokens, the owner's own or those of a group."""

    kind = "api_key"
    fingerprint_field = "key_hash"
    audit_fields: ClassVar[tuple[str, ...]] = (
        *("name", "preview", "owner_id", "group_id"),
        *RotatableCredential.audit_fields,
    )

    name = models.CharField(max_length=255, validators=[no_controls])
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    preview = models.CharField(max_length=5, editable=False, db_index=True)
    owner = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="api_keys")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.PROTECT, related_name="api_keys")
    use_count = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)  # counted with the exchange

    class Meta(RotatableCredential.Meta):
        ordering = ["-id"]
        verbose_name = "API key"
        indexes = [
            *RotatableCredential.Meta.indexes,
            prefix_index("name", name="apikey_prefix"),
            # For a list that is sorted by name; PostgreSQL has the one above in another order.
            models.Index(fields=["name"], name="apikey_by_name"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"],
                condition=models.Q(revoked_at__isnull=True),
                name="apikey_name",
                violation_error_message="The owner has a key of that name already.",
            ),
            models.CheckConstraint(condition=~models.Q(name=""), name="apikey_name_not_empty"),
            models.CheckConstraint(
                condition=models.Q(starts_at__isnull=True)
                | models.Q(expires_at__isnull=True)
                | models.Q(expires_at__gt=models.F("starts_at")),
                name="apikey_valid_from_before_to",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.preview}…)"

    @classmethod
    def locked_by_owner(cls) -> dict[State, models.Q]:
        """The owner's lock, or the group's."""
        return {
            State.LOCKED: models.Q(owner__locked_at__isnull=False)
            | models.Q(group__isnull=False, group__locked_at__isnull=False)
        }

    @classmethod
    def usable_alone(cls, *, now: datetime | Slot) -> models.Q:
        """What holds of the usable keys, said without a join.

        An UPDATE that has waited for its row judges that anew as it is then, but nothing that was joined.
        """
        locked = cls.objects.filter(cls.locked_by_owner()[State.LOCKED], pk=models.OuterRef("pk"))
        obstacles = cls.obstacles(now) | {State.LOCKED: models.Q(models.Exists(locked))}
        return models.Q(*[~holds for holds in obstacles.values()])

    @classmethod
    def ranges(cls, state: State, *, now: datetime) -> tuple[Range, ...]:
        """What is locked is found by its owner, or by its group."""
        if state != State.LOCKED:
            return super().ranges(state, now=now)
        locked = models.Q(owner__in=Profile.objects.filter(locked_at__isnull=False))
        return (
            Range(locked),
            Range(models.Q(owner__locked_at__isnull=True, group__in=Group.objects.filter(locked_at__isnull=False))),
        )

    @property
    def owner_label(self) -> str:
        """The owner, and the group whose tokens it gives."""
        return f"{self.owner} for {self.group}" if self.group else str(self.owner)

    def contact(self) -> str:
        """The owner's address, if it takes mail."""
        return self.owner.email if self.owner.is_email_enabled else ""

    def is_locked(self) -> bool:
        """Whether the owner or the group is locked."""
        return self.owner.locked_at is not None or (self.group is not None and self.group.locked_at is not None)
