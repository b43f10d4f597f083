"""The admin of named tokens, of the audit log, and of the operators themselves."""

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from tokens import services
from tokens.core.admin import AuditEventAdmin, CredentialAdmin, operator
from tokens.models import AuditEvent, NamedToken

admin.site.register(AuditEvent, AuditEventAdmin)
admin.site.unregister([User, Group, AccessAttempt, AccessFailureLog, AccessLog])


@admin.register(NamedToken)
class NamedTokenAdmin(CredentialAdmin):
    """Named tokens."""

    list_display = ("name", "shown_state", "can_write", "created_at", "expires_at", "last_used_at")
    search_fields = ("name",)
    fields = ("name", "can_write", "is_active", "expires_at")

    def get_readonly_fields(self, request: HttpRequest, obj: NamedToken | None = None) -> tuple[str, ...]:
        """A name stays; of a revoked token everything does."""
        if obj is None:
            return ()
        return ("name",) if obj.revoked_at is None else tuple(self.fields)

    def add(self, request: HttpRequest, form: Any) -> tuple[NamedToken, str]:
        """Mint it."""
        minted = services.mint(actor=operator(request), **form.cleaned_data)
        return minted.token, minted.value

    def change(self, request: HttpRequest, row: NamedToken, changes: dict[str, Any]) -> None:
        """Update it."""
        services.update(row.name, actor=operator(request), **changes)

    def example(self, request: HttpRequest, secret: str) -> str:
        """List the tokens with it."""
        return f"curl {request.build_absolute_uri('/_/token')} -H 'Authorization: Bearer {secret}'"


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """Operators."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Groups of operators."""


@admin.register(AccessAttempt, AccessFailureLog, AccessLog)
class SignInAdmin(ModelAdmin):
    """What the lockout has seen, read-only but for attempts, whose deletion ends a lockout."""

    list_display = ("attempt_time", "username", "ip_address", "user_agent")
    search_fields = ("username", "ip_address")
    exclude = ("get_data", "post_data")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Written by the lockout alone."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Written by the lockout alone."""
        return False
