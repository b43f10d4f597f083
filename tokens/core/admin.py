"""The admin of every credential: masked columns, minting with the secret shown once, revoking. No deletion."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from tokens.core import kinds
from tokens.core.audit import Actor
from tokens.core.errors import RegistryError
from tokens.core.http import client_address, request_id
from tokens.core.models import AuditEvent, Credential, State

STATE_COLOURS = {
    State.ACTIVE: "success",
    State.PENDING: "info",
    State.INACTIVE: "warning",
    State.LOCKED: "warning",
    State.EXPIRED: "danger",
    State.REVOKED: "danger",
}


def operator(request: HttpRequest) -> Actor:
    """The signed-in operator, as the audit log names them."""
    return Actor(
        kind="operator",
        channel="admin",
        id=str(request.user.pk),
        label=request.user.get_username(),
        address=client_address(request),
        request_id=request_id(request),
    )


class StateFilter(admin.SimpleListFilter):
    """Credentials by what they are now."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All states."""
        return [(state.value, state.label) for state in State]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The rows in the state that was chosen."""
        state = self.value()
        return queryset.in_state(State(state)) if state in State.values else queryset


class RegistryAdmin(ModelAdmin):
    """An admin that writes through services alone.

    A subclass implements `add` and `change`; either may raise a `RegistryError`, which the operator sees as a message.
    """

    actions_on_bottom = False
    list_per_page = 50
    show_full_result_count = False

    def add(self, request: HttpRequest, form: Any) -> tuple[Model, str]:
        """Make what the form asks for; return the row and its secret, empty for what has none."""
        raise NotImplementedError

    def change(self, request: HttpRequest, row: Any, changes: dict[str, Any]) -> None:
        """Change the fields of `row` that the form changed."""
        raise NotImplementedError

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes: what was handed out stays on record."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Call the service."""
        if change:
            self.change(request, obj, {name: form.cleaned_data[name] for name in form.changed_data})
        else:
            row, request.META["registry.secret"] = self.add(request, form)
            obj.__dict__.update(row.__dict__)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing: the service has stored relations with the row."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show what a service refuses as a message."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except RegistryError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(request.get_full_path())

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The page that shows the secret, once; it is stored nowhere, and gone when the page is left or reloaded."""
        secret = request.META.pop("registry.secret", "")
        if not secret:
            return super().response_add(request, obj, post_url_continue)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{self.opts.verbose_name} minted".capitalize(),
            "opts": self.opts,
            "object": obj,
            "secret": secret,
            "example": self.example(request, secret),
            "change_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[obj.pk]),
        }
        response = TemplateResponse(request, "admin/shown_once.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def example(self, request: HttpRequest, secret: str) -> str:
        """A curl line that uses the secret."""
        return ""


class CredentialAdmin(RegistryAdmin):
    """The admin of one kind of credential."""

    list_filter: ClassVar[Any] = (StateFilter,)
    actions: ClassVar[Any] = ("revoke_selected",)
    date_hierarchy = None

    @display(description="State", label=STATE_COLOURS)
    def shown_state(self, row: Credential) -> State:
        """The state as a coloured label."""
        return row.state_at(timezone.now())

    @action(description="Revoke for good", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Revoke the selected credentials."""
        revoke = kinds.get(self.model.kind).revoke
        for row in queryset:
            revoke(row, operator(request), "")
        messages.success(request, f"Revoked {len(queryset)}.")


class AuditEventAdmin(ModelAdmin):
    """The audit log, read-only."""

    list_display = ("at", "action", "object_label", "actor_label", "channel", "address", "reason")
    list_filter = ("action", "channel")
    search_fields = ("object_label", "actor_label", "request_id")
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Services write events, nobody else."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """What happened stays what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """What happened stays what happened."""
        return False
