"""The admin of profiles, groups and API keys."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action

from edi_auth import services
from edi_auth.models import ApiKey, Group, Profile
from tokens.core.admin import CredentialAdmin, RegistryAdmin, operator


class PrincipalAdmin(RegistryAdmin):
    """What profiles and groups have in common: the lock."""

    actions: Sequence[str] = ("lock_selected", "unlock_selected")

    @action(description="Lock", permissions=["change"])
    def lock_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Lock the selected principals."""
        self._set_locked(request, queryset, True)

    @action(description="Unlock", permissions=["change"])
    def unlock_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Unlock the selected principals."""
        self._set_locked(request, queryset, False)

    def _set_locked(self, request: HttpRequest, queryset: QuerySet[Any], is_locked: bool) -> None:
        for row in queryset:
            services.set_locked(row, is_locked, actor=operator(request))
        messages.success(request, f"{'Locked' if is_locked else 'Unlocked'} {len(queryset)}.")

    def change(self, request: HttpRequest, row: Any, changes: dict[str, Any]) -> None:
        """Update it."""
        services.update(row, actor=operator(request), **changes)


@admin.register(Profile)
class ProfileAdmin(PrincipalAdmin):
    """Profiles."""

    list_display = ("__str__", "idp", "edi_id", "email", "locked_at", "created_at")
    list_filter = ("idp",)
    search_fields = ("edi_id", "idp_uid", "common_name", "email")
    fields = ("idp", "idp_uid", "common_name", "email", "is_email_enabled", "is_email_verified", "links")
    autocomplete_fields = ("links",)
    actions = (*PrincipalAdmin.actions, "end_tokens_of_selected")

    def get_readonly_fields(self, request: HttpRequest, obj: Profile | None = None) -> tuple[str, ...]:
        """An identity never changes."""
        return () if obj is None else ("idp", "idp_uid", "edi_id", "locked_at", "tokens_valid_after")

    def get_fields(self, request: HttpRequest, obj: Profile | None = None) -> tuple[str, ...]:
        """What the registry sets is shown once there is a profile."""
        return self.fields if obj is None else (*self.fields, "edi_id", "locked_at", "tokens_valid_after")

    def add(self, request: HttpRequest, form: Any) -> tuple[Profile, str]:
        """Add it."""
        given = {name: form.cleaned_data[name] for name in ("idp", "idp_uid", "common_name", "email")}
        profile = services.add_profile(actor=operator(request), **given)
        rest = ("is_email_enabled", "is_email_verified", "links")
        self.change(request, profile, {name: form.cleaned_data[name] for name in rest})
        return profile, ""

    @action(description="End all tokens", permissions=["change"])
    def end_tokens_of_selected(self, request: HttpRequest, queryset: QuerySet[Profile]) -> None:
        """End all tokens of the selected profiles."""
        for profile in queryset:
            services.end_tokens(profile, actor=operator(request))
        messages.success(request, f"Ended all tokens of {len(queryset)}.")


@admin.register(Group)
class GroupAdmin(PrincipalAdmin):
    """Groups."""

    list_display = ("name", "edi_id", "locked_at", "created_at")
    search_fields = ("edi_id", "name")
    fields = ("name", "members")
    autocomplete_fields = ("members",)

    def add(self, request: HttpRequest, form: Any) -> tuple[Group, str]:
        """Add it with its members."""
        return services.add_group(actor=operator(request), **form.cleaned_data), ""


@admin.register(ApiKey)
class ApiKeyAdmin(CredentialAdmin):
    """API keys."""

    list_display = ("name", "shown_key", "shown_state", "owner", "group", "expires_at", "last_used_at", "use_count")
    list_select_related = ("owner", "group")
    search_fields = ("name", "preview", "owner__edi_id", "owner__email")
    fields = ("name", "owner", "group", "starts_at", "expires_at", "is_active")
    autocomplete_fields = ("owner", "group")

    @admin.display(description="key")
    def shown_key(self, row: ApiKey) -> str:
        """The first characters of the key."""
        return f"{row.preview}…"

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """An owner stays."""
        return () if obj is None else ("owner", "group")

    def add(self, request: HttpRequest, form: Any) -> tuple[ApiKey, str]:
        """Mint it."""
        given = dict(form.cleaned_data)
        minted = services.mint_key(given.pop("name"), actor=operator(request), **given)
        return minted.key, minted.secret

    def change(self, request: HttpRequest, row: ApiKey, changes: dict[str, Any]) -> None:
        """Update it."""
        services.update(row, actor=operator(request), **changes)

    def example(self, request: HttpRequest, secret: str) -> str:
        """Exchange it for tokens."""
        return f'curl {request.build_absolute_uri("/auth/v1/key")} -d \'{{"key": "{secret}"}}\''
