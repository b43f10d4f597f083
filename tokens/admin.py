"""The admin of named tokens, of the audit log, and of the operators themselves."""

from datetime import timedelta
from typing import Any, ClassVar

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldBooleanSwitchWidget

from tokens import operators, services
from tokens.core.admin.asking import VerbAdmin
from tokens.core.admin.credentials import CredentialAdmin
from tokens.core.admin.events import AuditEventAdmin
from tokens.core.admin.forms import ReasonForm, changes_in, remembering
from tokens.core.admin.notices import NoticeAdmin
from tokens.core.admin.registry import LookupAdmin, adding
from tokens.core.admin.verbs import ROTATABLE_VERBS, Verb, operator
from tokens.core.admin.words import moment
from tokens.models import AuditEvent, NamedToken, Notice, Operator

admin.site.register(AuditEvent, AuditEventAdmin)
admin.site.register(Notice, NoticeAdmin)
admin.site.unregister([User, Group, AccessAttempt, AccessFailureLog, AccessLog, TOTPDevice])


@admin.register(NamedToken)
class NamedTokenAdmin(CredentialAdmin):
    """Named tokens."""

    add_words = "Mint a named token"
    icon = "badge"
    verbs = ROTATABLE_VERBS
    list_display = ("name", "shown_state", "shown_writing", "shown_created", "shown_expiry", "shown_use", "shown_count")
    search_fields = ("name",)
    search_help_text = "Name begins with (case-sensitive)"
    form_names: ClassVar[dict[str, str]] = {"expiration_date": "expires_at"}
    fields = ("name", "can_write", "is_active", "expires_at", "allowed_networks")
    facts = ("labelled_state", "shown_created", "shown_use", "shown_count", "shown_rotation")

    @display(description="May", label={"read and write": "primary", "read": "info"})
    def shown_writing(self, row: NamedToken) -> str:
        """What it may do."""
        return "read and write" if row.can_write else "read"

    def add(self, request: HttpRequest, form: Any) -> tuple[NamedToken, str]:
        """Mint it."""
        minted = services.mint(actor=operator(request), **form.cleaned_data)
        return minted.row, minted.secret

    def change(self, request: HttpRequest, row: NamedToken, changes: dict[str, Any]) -> None:
        """Update it."""
        services.update(row, actor=operator(request), **changes)

    def rotate(self, request: HttpRequest, row: NamedToken, grace: timedelta) -> str:
        """Give it a new value."""
        return services.rotate(row, actor=operator(request), grace=grace).secret

    def example(self, request: HttpRequest, secret: str) -> str:
        """List the tokens with it."""
        return f"curl {request.build_absolute_uri('/_/token')} -H 'Authorization: Bearer {secret}'"


WORDS = {
    "username": ("Name", "Letters, digits and @ . + - _"),
    "is_active": ("May sign in", "Switch this off when somebody leaves."),
    "is_superuser": ("Superuser", "May do everything, and manages operators."),
    "groups": ("Roles", ""),
    "email": ("E-mail", ""),
}


class SuperuserAdmin(LookupAdmin):
    """What superusers alone see and change, and nobody deletes: history names it."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return self.has_module_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return self.has_module_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: one who leaves is switched off."""
        return False


FORGET = Verb(
    name="forget_second_factor",
    label="Forget the second factor",
    done="Forgot the second factor of",
    explanation="Signing in takes the password alone, until another second factor is set up. The recovery codes end "
    "with it. Be sure that it is the operator who asks for this.",
    permission="forget_second_factor",  # of nobody but superusers, who have all
    icon="phonelink_erase",
    method="forget_second_factor",
    arguments=lambda data: (data["reason"],),
    applies=lambda row: row.has_second_factor,
    form=ReasonForm,
    is_ending=True,
)


class OperatorForm(UserChangeForm):
    """An operator, and what is required of them; somebody stays who may manage operators."""

    must_have_second_factor = forms.BooleanField(
        label="Require a second factor",
        required=False,
        show_hidden_initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Nothing but setting one up is possible without it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["must_have_second_factor"].initial = self.instance.must_have_second_factor

    def clean(self) -> Any:
        """Refuse to take that from the last who may."""
        data = super().clean() or self.cleaned_data
        taken = next(
            (name for name in ("is_active", "is_superuser") if name in self.changed_data and not data.get(name)), None
        )
        if taken and operators.is_last_superuser(self.instance):
            self.add_error(taken, "Nobody else would be left to manage operators.")
        return data


@admin.register(Operator)
class OperatorAdmin(DjangoUserAdmin, VerbAdmin, SuperuserAdmin):
    """Operators."""

    add_words = "Add an operator"
    list_title = "Operators"
    icon = "manage_accounts"
    is_listed = True
    form = OperatorForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "may_sign_in", "shown_roles", "shown_factor", "shown_sign_in")
    list_filter = ("is_active", "is_superuser", "groups")
    search_fields = ("username", "email")
    search_help_text = "Name or e-mail"
    sortable_by = ()
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "email", "shown_password")}),
        (
            "May",
            {
                "fields": ("is_active", "is_superuser", "groups"),
                "description": "Viewers look. Issuers mint, rotate, extend, switch off and on. Security revokes, "
                "locks and reads the audit log. Superusers do all of it and manage operators.",
            },
        ),
        ("Signing in", {"fields": ("shown_factor", "must_have_second_factor", "shown_codes", "shown_sign_in")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "password1", "password2")}),)
    readonly_fields = ("shown_password", "shown_factor", "shown_codes", "shown_sign_in")
    verbs = (FORGET,)

    def forget_second_factor(self, request: HttpRequest, row: Operator, reason: str) -> None:
        """Let them sign in with the password alone."""
        operators.switch_off_second_factor(row, actor=operator(request), reason=reason)

    @display(description="May sign in", boolean=True)
    def may_sign_in(self, row: Operator) -> bool:
        """Whether the registry knows them still."""
        return row.is_active

    @display(description="Password")
    def shown_password(self, row: Operator) -> SafeString:
        """The way to set another one."""
        url = reverse("admin:auth_user_password_change", args=[row.pk])
        return format_html('<a href="{}" class="r-link">Set another password</a>', url)

    @display(description="Recovery codes left")
    def shown_codes(self, row: Operator) -> str:
        """How many codes they have for a lost phone."""
        return str(row.recovery_codes_left)

    @display(description="Last sign-in")
    def shown_sign_in(self, row: Operator) -> SafeString | str:
        """When they were here."""
        return moment(row.last_login, never="never")

    @display(description="Roles")
    def shown_roles(self, row: Operator) -> str:
        """What they may do."""
        return "everything" if row.is_superuser else ", ".join(group.name for group in row.groups.all()) or "nothing"

    @display(description="Second factor", label={"on": "success", "required": "warning", "off": "info"})
    def shown_factor(self, row: Any) -> str:
        """Whether signing in takes a code."""
        if row.has_factor:
            return "on"
        return "required" if row.is_factor_required else "off"

    def get_queryset(self, request: HttpRequest) -> Any:
        """With their roles and second factors."""
        return operators.with_factors(super().get_queryset(request).prefetch_related("groups"))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Groups as boxes to tick."""
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "groups" and field is not None:
            field.widget = UnfoldAdminCheckboxSelectMultipleWidget(choices=field.choices)
            field.help_text = ""
        return field

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The boxes, in the operators' words."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in WORDS:
            field.label, field.help_text = WORDS[db_field.name]
        return field

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form; that of an operator knows what it showed, and changes nothing that others changed meanwhile."""
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        return remembering(form) if change else form

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """The form, in the operators' words; back to it when somebody else takes the name at the same moment."""
        row = self.get_object(request, object_id) if object_id else None
        context: dict[str, Any] = {"title": "Operator"} if object_id else adding(self.add_words)
        if row is not None:
            context["offered"] = self.offered(request, row)
        try:
            return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})
        except IntegrityError:
            messages.error(request, "There is an operator of that name already.")
            return redirect(request.get_full_path())

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """To the new operator, who may do nothing yet."""
        messages.success(request, f"Added {obj}, who may do nothing yet. Say below what they may do.")
        return redirect("admin:tokens_operator_change", obj.pk)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Back to the operator."""
        messages.success(request, f"Saved {obj}.")
        return redirect("admin:tokens_operator_change", obj.pk)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list."""
        return super().changelist_view(request, {"title": "Operators", **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store it. Whoever is added here is to use the admin."""
        if change:
            operators.update(obj, changes_in(form), actor=operator(request))
            return
        obj.is_staff = True
        super().save_model(request, obj, form, change)
        operators.record(operators.Action.ADD, obj.pk, actor=operator(request))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing: roles are stored with the operator."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """A password that was set for somebody, besides Django's own log."""
        if request.path.endswith("/password/"):
            operators.record(operators.Action.CHANGE_PASSWORD, obj.pk, actor=operator(request))
        return super().log_change(request, obj, message)


@admin.register(AccessAttempt, AccessFailureLog, AccessLog)
class SignInAdmin(SuperuserAdmin):
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

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Attempts alone."""
        return self.model is AccessAttempt and self.has_module_permission(request)
