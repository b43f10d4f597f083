"""What `import_records` takes for this app: profiles, links between them, groups, and API keys."""

from typing import Any

from rest_framework import serializers

from edi_auth import services
from edi_auth.models import ApiKey, Group, Idp, Profile, edi_id_of
from edi_auth.services import StoredKey
from tokens.core import importing
from tokens.core.audit import Actor
from tokens.core.errors import Invalid
from tokens.core.fields import NoUnknownFields, StrictBooleanField, StrictCharField
from tokens.core.importing import PRESENT, Importer, MomentField, Updater
from tokens.core.models import digest, is_opaque, preview_of

REASON = "as it was where it was imported from"


class ProfileLine(NoUnknownFields, serializers.Serializer[Any]):
    """The line of a profile. Its EDI-ID follows from `idp_uid`; one that is given must be the same."""

    idp = serializers.ChoiceField(Idp.choices, error_messages={"invalid_choice": f"must be {', '.join(Idp.values)}."})
    idp_uid = StrictCharField(max_length=255)
    edi_id = StrictCharField(required=False)
    name = StrictCharField(required=False, allow_blank=True, max_length=255, source="common_name")
    email = StrictCharField(required=False, allow_blank=True)
    is_email_enabled = StrictBooleanField(required=False)
    is_email_verified = StrictBooleanField(required=False)
    locked = StrictBooleanField(required=False)


class LinkLine(NoUnknownFields, serializers.Serializer[Any]):
    """The line that links profiles, each with all others."""

    profiles = serializers.ListField(child=StrictCharField())


class GroupLine(NoUnknownFields, serializers.Serializer[Any]):
    """The line of a group, whose members are profiles that are there."""

    edi_id = StrictCharField()
    name = StrictCharField(max_length=255)
    members = serializers.ListField(child=StrictCharField(), required=False, source="member_ids")
    locked = StrictBooleanField(required=False)

    def validate_members(self, members: list[str]) -> list[str]:
        """Each once, in the order in which a group names them."""
        return sorted(set(members))


class ApiKeyLine(NoUnknownFields, serializers.Serializer[Any]):
    """The line of an API key: what a server stores of it, or the key itself.

    Its owner, and the group whose tokens it gives, are there.
    """

    key = StrictCharField(required=False, max_length=255)
    key_hash = serializers.RegexField(
        r"\A[0-9a-fA-F]{64}\Z", required=False, error_messages={"invalid": "must be the SHA-256 of the key in hex."}
    )
    preview = StrictCharField(required=False, max_length=5, allow_blank=True)
    owner = StrictCharField()
    group = StrictCharField(required=False)
    name = StrictCharField(max_length=255)
    active = StrictBooleanField(required=False, source="is_active")
    valid_from = MomentField(required=False, source="starts_at")
    valid_to = MomentField(required=False, source="expires_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Put `stored` in the place of the first three. Raises DRF's `ValidationError`."""
        given = {name: attrs.pop(name) for name in ("key", "key_hash", "preview") if name in attrs}
        match given:
            case {"key": key, **rest} if not rest:
                if not is_opaque(key):
                    raise serializers.ValidationError({"key": "must not be a signed token."})
                stored = StoredKey(digest(key), preview_of(key))
            case {"key_hash": key_hash, "preview": preview, **rest} if not rest:
                stored = StoredKey(key_hash.lower(), preview)
            case _:
                raise serializers.ValidationError({"key": "give the key, or else its key_hash and preview."})
        return attrs | {"stored": stored}


class Principals(Updater):
    """What profiles and groups share: whether they are locked."""

    def values(self, row: Profile | Group) -> dict[str, Any]:
        """What `row` says, its lock included."""
        return super().values(row) | {"locked": row.locked_at is not None}

    def lock(self, row: Profile | Group, is_locked: bool, *, actor: Actor) -> None:
        """Lock it if it was locked where it came from, or else unlock it."""
        services.set_locked(row, is_locked, actor=actor, reason=REASON)


class Profiles(Principals):
    """Profiles, whose EDI-IDs follow from their identities."""

    kind, label = Profile.kind, "profile"
    line = ProfileLine()
    compared = ("idp", "common_name", "email", "is_email_enabled", "is_email_verified")
    fixed = frozenset({"idp"})

    def find(self, fields: dict[str, Any]) -> Profile | None:
        """The profile of this identity."""
        edi_id = edi_id_of(fields["idp_uid"])
        if fields.get("edi_id", edi_id) != edi_id:
            raise Invalid("edi_id", f"edi_id: that of this idp_uid is {edi_id}.")
        return Profile.objects.filter(idp_uid=fields["idp_uid"]).first()

    def add(self, fields: dict[str, Any], *, actor: Actor) -> None:
        """Store it."""
        fields.pop("edi_id", None)
        is_locked = fields.pop("locked", False)
        profile = services.add_profile(actor=actor, **fields)
        if is_locked:
            self.lock(profile, True, actor=actor)

    def update(self, row: Profile, changes: dict[str, Any], *, actor: Actor) -> None:
        """Change it."""
        services.update(row, actor=actor, **changes)
        if "locked" in changes:
            self.lock(row, changes["locked"], actor=actor)


class Links(Importer):
    """Links between profiles, besides those that they have."""

    kind = label = "link"
    line = LinkLine()

    def find(self, fields: dict[str, Any]) -> Any:
        """Whether each is linked with all others."""
        profiles = self._profiles(fields)
        return PRESENT if all(profiles <= {profile, *profile.links.all()} for profile in profiles) else None

    def add(self, fields: dict[str, Any], *, actor: Actor) -> None:
        """Link them."""
        services.link(self._profiles(fields), actor=actor)

    def _profiles(self, fields: dict[str, Any]) -> set[Profile]:
        """Those that are to be linked."""
        profiles = {services.profile_of(edi_id) for edi_id in fields["profiles"]}
        if len(profiles) < 2:
            raise Invalid("profiles", "profiles: must name two profiles or more.")
        return profiles


class Groups(Principals):
    """Groups, which go on having their EDI-IDs."""

    kind, label = Group.kind, "group"
    line = GroupLine()
    compared = ("name", "member_ids")

    def find(self, fields: dict[str, Any]) -> Group | None:
        """The group of this EDI-ID."""
        return Group.objects.filter(edi_id=fields["edi_id"]).first()

    def add(self, fields: dict[str, Any], *, actor: Actor) -> None:
        """Store it."""
        members = map(services.profile_of, fields.get("member_ids", []))
        group = services.add_group(fields["name"], actor=actor, edi_id=fields["edi_id"], members=list(members))
        if fields.get("locked"):
            self.lock(group, True, actor=actor)

    def update(self, row: Group, changes: dict[str, Any], *, actor: Actor) -> None:
        """Change it."""
        rest = {"name": changes["name"]} if "name" in changes else {}
        if "member_ids" in changes:
            rest["members"] = list(map(services.profile_of, changes["member_ids"]))
        services.update(row, actor=actor, **rest)
        if "locked" in changes:
            self.lock(row, changes["locked"], actor=actor)


class ApiKeys(Updater):
    """API keys, whose secrets go on working."""

    kind, label = ApiKey.kind, "API key"
    line = ApiKeyLine()
    compared = ("name", "is_active", "starts_at", "expires_at")
    fixed = frozenset({"owner", "group"})

    def find(self, fields: dict[str, Any]) -> Any:
        """The key that has or had this secret."""
        return importing.found(ApiKey, fields["stored"].key_hash)

    def add(self, fields: dict[str, Any], *, actor: Actor) -> None:
        """Store it."""
        owner, group = services.profile_of(fields.pop("owner")), fields.pop("group", None)
        services.mint_key(
            fields.pop("name"),
            owner=owner,
            group=None if group is None else services.group_of(group),
            actor=actor,
            **fields,
        )

    def values(self, row: ApiKey) -> dict[str, Any]:
        """What `row` says."""
        principals = {"owner": row.owner.edi_id, "group": row.group.edi_id if row.group else None}
        return principals | super().values(row)

    def update(self, row: ApiKey, changes: dict[str, Any], *, actor: Actor) -> None:
        """Change it."""
        services.update(row, actor=actor, **changes)


for importer in (Profiles(), Links(), Groups(), ApiKeys()):
    importing.register(importer)
