"""The admin of profiles, groups and API keys."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, prefetch_related_objects
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from edi_auth import services
from edi_auth.models import ApiKey, Group, Principal, Profile
from tokens.core.admin.credentials import CredentialAdmin
from tokens.core.admin.registry import RegistryAdmin
from tokens.core.admin.verbs import END_TOKENS, LOCK, ROTATABLE_VERBS, UNLOCK, Verb, operator
from tokens.core.admin.words import moment
from tokens.core.errors import Forbidden
from tokens.core.models import Range

# Of how many members a form tells which were chosen, and which it had shown: of more it would be too large a body.
MAX_CHOSEN = 1200


class LockFilter(admin.SimpleListFilter):
    """Principals by their lock."""

    title = "lock"
    parameter_name = "locked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Locked or not."""
        return [("yes", "Locked"), ("no", "Not locked")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The principals that were chosen."""
        chosen = self.value()
        return queryset.filter(locked_at__isnull=chosen == "no") if chosen in {"yes", "no"} else queryset

    def ranges(self, model: type[Principal]) -> Sequence[Range] | None:
        """Where those are that are locked, the latest first."""
        return (Range(Q(), ("-locked_at",)),) if self.value() == "yes" else None


def has_many_members(group: Group) -> bool:
    """Whether they are more than a form can send. They are read once, and then the form shows them."""
    prefetch_related_objects([group], "members")
    return len(group.members.all()) > MAX_CHOSEN


def may_lock(request: HttpRequest) -> bool:
    """Whether the operator may lock profiles."""
    return request.user.has_perm("edi_auth.lock_profile")


def check_may_hold(request: HttpRequest, owner: Profile, group: Group | None) -> None:
    """Raise `Forbidden` unless the operator may see the secret of a key of `owner`, or of `group` in its place.

    An administrator's key gives tokens that lock profiles, which is not for operators who may not.
    """
    if group is None and services.is_administrator(owner) and not may_lock(request):
        raise Forbidden(f"{owner} is an administrator: whoever has a key of theirs may lock profiles, and you may not.")


class PrincipalAdmin(RegistryAdmin):
    """What profiles and groups have in common: the lock, and the end of all tokens."""

    verbs = (LOCK, UNLOCK, END_TOKENS)
    sortable_by = ("name", "shown_created")
    facts = ("edi_id", "shown_lock", "shown_end", "shown_created")
    keys_of = ""

    @display(description="State", label={"locked": "warning", "active": "success"})
    def shown_state(self, row: Principal) -> str:
        """Whether it is locked."""
        return "active" if row.locked_at is None else "locked"

    @display(description="Locked")
    def shown_lock(self, row: Principal) -> Any:
        """Since when it is locked."""
        return moment(row.locked_at, never="no")

    @display(description="Tokens ended")
    def shown_end(self, row: Principal) -> Any:
        """From before which moment no token counts."""
        return moment(row.tokens_valid_after, never="never")

    def consequences(self, verb: Verb, rows: list[Any]) -> list[str]:
        """How many API keys a lock refuses, and an unlocking lets in again."""
        keys = ApiKey.objects.filter(revoked_at__isnull=True, is_active=True, **{f"{self.keys_of}__in": rows})
        number = keys[:1000].count()
        counted, ending = f"{number} API key{pluralize(number)}", pluralize(number, "s,")
        if verb is LOCK:
            return [f"{counted} stop{ending} working at once.", "Tokens that keys gave are no longer renewed."]
        if verb is UNLOCK:
            return [f"{counted} can work again."]
        go = pluralize(number, "goes,go")
        return [f"Whoever holds tokens of {len(rows)} here must ask for new ones.", f"{counted} {go} on working."]

    def change(self, request: HttpRequest, row: Any, changes: dict[str, Any]) -> None:
        """Update it."""
        services.update(row, actor=operator(request), **changes)

    def set_locked(self, request: HttpRequest, row: Any, is_locked: bool, reason: str) -> None:
        """Lock or unlock it."""
        services.set_locked(row, is_locked, actor=operator(request), reason=reason)

    def end_tokens(self, request: HttpRequest, row: Any, reason: str) -> None:
        """End all its tokens."""
        services.end_tokens(row, actor=operator(request), reason=reason)


@admin.register(Profile)
class ProfileAdmin(PrincipalAdmin):
    """Profiles."""

    add_words = "Add a profile"
    icon = "person"
    list_display = ("__str__", "shown_state", "idp", "edi_id", "email", "shown_created")
    list_filter = (LockFilter, "idp")
    search_fields = ("edi_id", "idp_uid", "common_name", "email")
    search_help_text = "Name, EDI-ID, identity or e-mail begins with (case-sensitive)"
    fields = (
        *("idp", "idp_uid", "common_name", "email", "is_email_enabled", "is_email_verified", "is_administrator"),
        "links",
    )
    kept = ("idp", "idp_uid")
    autocomplete_fields = ("links",)
    keys_of = "owner"

    def get_readonly_fields(self, request: HttpRequest, obj: Profile | None = None) -> Any:
        """Whoever may not lock makes nobody an administrator, who may."""
        guarded = () if may_lock(request) else ("is_administrator",)
        return (*super().get_readonly_fields(request, obj), *guarded)

    def add(self, request: HttpRequest, form: Any) -> tuple[Profile, str]:
        """Add it."""
        given = {name: form.cleaned_data[name] for name in ("idp", "idp_uid", "common_name", "email")}
        profile = services.add_profile(actor=operator(request), **given)
        rest = ("is_email_enabled", "is_email_verified", "is_administrator", "links")
        self.change(request, profile, {name: form.cleaned_data[name] for name in rest if name in form.cleaned_data})
        return profile, ""


@admin.register(Group)
class GroupAdmin(PrincipalAdmin):
    """Groups."""

    add_words = "Add a group"
    icon = "groups"
    list_display = ("name", "shown_state", "edi_id", "shown_created")
    list_filter = (LockFilter,)
    search_fields = ("edi_id", "name")
    search_help_text = "Name or EDI-ID begins with (case-sensitive)"
    fields = ("name", "members")
    autocomplete_fields = ("members",)
    keys_of = "group"

    @display(description="Members")
    def shown_members(self, group: Group) -> str:
        """How many there are, where they are too many for a form."""
        return f"{len(group.members.all())}, too many to choose from here. Change them with import_records --update."

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        """The members, or of many how many they are: a form has no room for them."""
        found = super().get_fields(request, obj)
        if obj is None or not has_many_members(obj):
            return found
        return ["shown_members" if name == "members" else name for name in found]

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        """What is known, which may be how many members there are."""
        return (*super().get_readonly_fields(request, obj), "shown_members")

    def add(self, request: HttpRequest, form: Any) -> tuple[Group, str]:
        """Add it with its members."""
        return services.add_group(actor=operator(request), **form.cleaned_data), ""


@admin.register(ApiKey)
class ApiKeyAdmin(CredentialAdmin):
    """API keys."""

    add_words = "Mint an API key"
    verbs = ROTATABLE_VERBS
    list_display = (
        *("name", "shown_state", "shown_key", "shown_owner", "shown_created", "shown_expiry", "shown_use"),
        "shown_count",
    )
    list_select_related = ("owner", "group")
    list_filter = (*CredentialAdmin.list_filter, ("owner", AutocompleteSelectFilter))
    search_fields = ("name", "preview", "owner__edi_id", "owner__email", "owner__common_name")
    search_help_text = "Name, key or owner begins with (case-sensitive)"
    form_names: ClassVar[dict[str, str]] = {"valid-to": "expires_at"}
    fields = ("name", "owner", "group", "starts_at", "expires_at", "is_active", "allowed_networks")
    facts = ("labelled_state", "shown_key", "shown_created", "shown_use", "shown_count", "shown_rotation")
    kept = ("owner", "group")
    autocomplete_fields = ("owner", "group")

    def add(self, request: HttpRequest, form: Any) -> tuple[ApiKey, str]:
        """Mint it."""
        given = dict(form.cleaned_data)
        check_may_hold(request, given["owner"], given["group"])
        minted = services.mint_key(given.pop("name"), actor=operator(request), **given)
        return minted.row, minted.secret

    def change(self, request: HttpRequest, row: ApiKey, changes: dict[str, Any]) -> None:
        """Update it."""
        services.update(row, actor=operator(request), **changes)

    def rotate(self, request: HttpRequest, row: ApiKey, grace: timedelta) -> str:
        """Give it a new secret."""
        check_may_hold(request, row.owner, row.group)
        return services.rotate_key(row, actor=operator(request), grace=grace).secret

    def example(self, request: HttpRequest, secret: str) -> str:
        """Exchange it for tokens."""
        return f'curl {request.build_absolute_uri("/auth/v1/key")} -d \'{{"key": "{secret}"}}\''
