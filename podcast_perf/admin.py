"""The admin of publishers and performance tokens."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminPasswordWidget

from podcast_perf import services
from podcast_perf.models import PerformanceToken, Publisher
from tokens.core.admin import CredentialAdmin, operator


class PublisherForm(forms.ModelForm):
    """A publisher; a new one may bring the key it has."""

    existing_key = forms.CharField(
        required=False,
        max_length=255,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text="Leave empty for a fresh key. A key that the publisher has already goes on working if you paste it.",
    )

    class Meta:
        model = Publisher
        fields = ("name", "is_active", "starts_at", "expires_at")


@admin.register(Publisher)
class PublisherAdmin(CredentialAdmin):
    """Publishers."""

    form = PublisherForm
    list_display = ("name", "shown_key", "shown_state", "created_at", "expires_at")
    search_fields = ("name", "preview")
    fields = ("name", "existing_key", "is_active", "starts_at", "expires_at")

    @admin.display(description="X-PUB-KEY")
    def shown_key(self, row: Publisher) -> str:
        """The first characters of the key."""
        return f"{row.preview}…"

    def get_fields(self, request: HttpRequest, obj: Publisher | None = None) -> Any:
        """A key is set once."""
        return self.fields if obj is None else tuple(name for name in self.fields if name != "existing_key")

    def add(self, request: HttpRequest, form: Any) -> tuple[Publisher, str]:
        """Add it, with a fresh key unless it has one."""
        given = dict(form.cleaned_data)
        raw_key = given.pop("existing_key")
        publisher, key = services.add_publisher(
            given.pop("name"), actor=operator(request), raw_key=raw_key or None, **given
        )
        return publisher, "" if raw_key else key

    def change(self, request: HttpRequest, row: Publisher, changes: dict[str, Any]) -> None:
        """Update it."""
        services.update_publisher(row, actor=operator(request), **changes)

    def example(self, request: HttpRequest, secret: str) -> str:
        """Fetch a token with it."""
        return f"curl {request.build_absolute_uri('/token')} -H 'X-PUB-KEY: {secret}'"


@admin.register(PerformanceToken)
class PerformanceTokenAdmin(CredentialAdmin):
    """Performance tokens, which publishers and listeners fetch and operators look at and end."""

    list_display = ("serial", "shown_state", "is_admin", "publisher", "created_at", "expires_at")
    list_select_related = ("publisher",)
    search_fields = ("serial",)
    fields = ("serial", "duration", "is_admin", "publisher", "created_at", "expires_at", "revoked_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They are fetched, or minted by `manage.py mint_performance_token`."""
        return False
