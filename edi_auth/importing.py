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
from tokens.core.importing import Importer, MomentField
from tokens.core.models import digest, preview_of

REASON = "locked where it was imported from"


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

    profiles = serializers.ListField(child=StrictCharField(), max_length=100)


class GroupLine(NoUnknownFields, serializers.Serializer[Any]):
    """The line of a group, whose members are profiles that are there."""

    edi_id = StrictCharField()
    name = StrictCharField(max_length=255)
    members = serializers.ListField(child=StrictCharField(), required=False)
    locked = StrictBooleanField(required=False)


class ApiKeyLine(NoUnknownFields, serializers.Serializer[Any]):
    """The line of an API key: what a server stores of it, or the key itself.

    Its owner, and the group whose tokens it gives, are there.
    """

    key = StrictCharField(required=False, max_length=255)
    key_hash = serializers.RegexField(
        r"\A[0-9a-f]{64}\Z", required=False, error_messages={"invalid": "must be the SHA-256 of the key in hex."}
    )
    preview = StrictCharField(required=False, max_length=5, allow_blank=True)
    owner = StrictCharField()
    group = StrictCharField(required=False, allow_null=True)
    name = StrictCharField(max_length=255)
    active = StrictBooleanField(required=False, source="is_active")
    valid_from = MomentField(required=False, allow_null=True, source="starts_at")
    valid_to = MomentField(required=False, allow_null=True, source="expires_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Put `stored` in the place of the first three. Raises DRF's `ValidationError`."""
        given = {name: attrs.pop(name) for name in ("key", "key_hash", "preview") if name in attrs}
        match given:
            case {"key": key, **rest} if not rest:
                stored = StoredKey(digest(key), preview_of(key))
            case {"key_hash": key_hash, "preview": preview, **rest} if not rest:
                stored = StoredKey(key_hash, preview)
            case _:
                raise serializers.ValidationError({"key": "give the key, or else its key_hash and preview."})
        return attrs | {"stored": stored}


def store_profile(
    *, actor: Actor, idp_uid: str, edi_id: str | None = None, locked: bool = False, **fields: Any
) -> bool:
    """Store a profile, locked if it was."""
    if edi_id not in {None, edi_id_of(idp_uid)}:
        raise Invalid("edi_id", f"edi_id: that of this idp_uid is {edi_id_of(idp_uid)}.")
    if Profile.objects.filter(idp_uid=idp_uid).exists():
        return False
    profile = services.add_profile(actor=actor, idp_uid=idp_uid, **fields)
    if locked:
        services.set_locked(profile, True, actor=actor, reason=REASON)
    return True


def store_link(*, actor: Actor, profiles: list[str]) -> bool:
    """Link each of `profiles` (EDI-IDs) with all others, besides those that it is linked with already."""
    linked = {services.profile_of(edi_id) for edi_id in profiles}
    if len(linked) < 2:
        raise Invalid("profiles", "profiles: must name two profiles or more.")
    is_new = False
    for profile in linked:
        others = {*profile.links.all(), *linked} - {profile}
        if len(others) > profile.links.count():
            services.update(profile, actor=actor, links=others)
            is_new = True
    return is_new


def store_group(
    *, actor: Actor, edi_id: str, name: str, members: list[str] | None = None, locked: bool = False
) -> bool:
    """Store a group that goes on having the EDI-ID `edi_id`, locked if it was."""
    if Group.objects.filter(edi_id=edi_id).exists():
        return False
    profiles = [services.profile_of(member) for member in members or []]
    group = services.add_group(name, actor=actor, edi_id=edi_id, members=profiles)
    if locked:
        services.set_locked(group, True, actor=actor, reason=REASON)
    return True


def store_key(
    *, actor: Actor, owner: str, name: str, stored: StoredKey, group: str | None = None, **fields: Any
) -> bool:
    """Store an API key whose secret goes on working."""
    if ApiKey.objects.filter(ApiKey.had(stored.key_hash)).exists():
        return False
    services.mint_key(
        name,
        owner=services.profile_of(owner),
        group=None if group is None else services.group_of(group),
        actor=actor,
        stored=stored,
        **fields,
    )
    return True


importing.register(Importer(Profile.kind, "profile", ProfileLine(), store_profile))
importing.register(Importer("link", "link", LinkLine(), store_link))
importing.register(Importer(Group.kind, "group", GroupLine(), store_group))
importing.register(Importer(ApiKey.kind, "API key", ApiKeyLine(), store_key))
