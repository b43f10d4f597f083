"""The admin of publishers and performance tokens."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminPasswordWidget, UnfoldBooleanSwitchWidget

from podcast_perf import services
from podcast_perf.models import PerformanceToken, Publisher
from tokens.core.admin.credentials import CredentialAdmin
from tokens.core.admin.overview import register_warning
from tokens.core.admin.verbs import ROTATABLE_VERBS, Verb, operator


class PublisherForm(forms.ModelForm):
    """A publisher; a new one may bring the key it has."""

    existing_key = forms.CharField(
        required=False,
        max_length=255,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text="Leave empty for a fresh key. A key that the publisher has already goes on working if you paste it.",
    )

    def validate_unique(self) -> None:
        """Leave it to the service, which takes the name of a revoked publisher for free."""

    class Meta:
        model = Publisher
        fields = ("name", "is_active", "starts_at", "expires_at", "allowed_networks")


@admin.register(Publisher)
class PublisherAdmin(CredentialAdmin):
    """Publishers."""

    form = PublisherForm
    add_words = "Add a publisher"
    icon = "campaign"
    verbs = ROTATABLE_VERBS
    list_display = (
        *("name", "shown_state", "shown_key", "shown_created", "shown_expiry", "shown_use"),
        "shown_count",
    )
    search_fields = ("name", "preview")
    search_help_text = "Name or key begins with (case-sensitive)"
    form_names: ClassVar[dict[str, str]] = {"key": "existing_key"}
    fields = ("name", "existing_key", "is_active", "starts_at", "expires_at", "allowed_networks")
    facts = ("labelled_state", "shown_key", "shown_created", "shown_use", "shown_count", "shown_rotation")
    kept = ()

    def get_fields(self, request: HttpRequest, obj: Publisher | None = None) -> Any:
        """A key is set once."""
        fields = super().get_fields(request, obj)
        return fields if obj is None else tuple(name for name in fields if name != "existing_key")

    def consequences(self, verb: Verb, rows: list[Publisher]) -> list[str]:
        """The tokens that it has fetched go on."""
        told = super().consequences(verb, rows)
        tokens = PerformanceToken.objects.usable().filter(publisher__in=rows)[:1000].count() if verb.is_ending else 0
        if tokens:
            go = pluralize(tokens, "goes,go")
            told.append(f"{tokens} performance token{pluralize(tokens)} it fetched {go} on until revoked or expired.")
        return told

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

    def rotate(self, request: HttpRequest, row: Publisher, grace: timedelta) -> str:
        """Give it a new key."""
        return services.rotate_publisher(row, actor=operator(request), grace=grace).secret

    def example(self, request: HttpRequest, secret: str) -> str:
        """Fetch a token with it."""
        return f"curl {request.build_absolute_uri('/token')} -H 'X-PUB-KEY: {secret}'"


class PerformanceTokenForm(forms.ModelForm):
    """A token for an operator's own use."""

    hours = forms.IntegerField(
        min_value=1,
        max_value=services.MAX_HOURS,
        initial=1,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="How long it lasts. It cannot be extended.",
    )
    admin = forms.BooleanField(
        required=False,
        initial=True,
        label="Admin token",
        widget=UnfoldBooleanSwitchWidget,
        help_text="If not, it is a listener's token, for feeds and players.",
    )

    class Meta:
        model = PerformanceToken
        fields = ()


@admin.register(PerformanceToken)
class PerformanceTokenAdmin(CredentialAdmin):
    """Performance tokens, which publishers and listeners fetch and operators look at and end."""

    form = PerformanceTokenForm
    add_words = "Mint a performance token"
    icon = "podcasts"
    list_display = ("shown_serial", "shown_state", "shown_role", "shown_owner", "shown_created", "shown_expiry")
    list_select_related = ("publisher",)
    list_filter = (*CredentialAdmin.list_filter, ("publisher", AutocompleteSelectFilter))
    search_fields = ("serial",)
    search_help_text = "Serial begins with (case-sensitive)"
    fields = ("hours", "admin")
    facts = (
        *("shown_serial", "labelled_state", "shown_role", "shown_hours", "shown_owner", "shown_created"),
        "shown_expiry",
    )

    @display(description="Serial (s)")
    def shown_serial(self, row: PerformanceToken) -> str:
        """The claim that the token is known by."""
        return row.serial

    @display(description="Hours (d)")
    def shown_hours(self, row: PerformanceToken) -> str:
        """How long it lasts, as its claim says it."""
        return row.duration

    @display(description="For", label={"admin": "primary", "listener": "info"})
    def shown_role(self, row: PerformanceToken) -> str:
        """Whose it is."""
        return "admin" if row.is_admin else "listener"

    def get_fields(self, request: HttpRequest, obj: PerformanceToken | None = None) -> Any:
        """A signed token stays what it is."""
        return self.fields if obj is None else self.facts

    def get_readonly_fields(self, request: HttpRequest, obj: PerformanceToken | None = None) -> Any:
        """A signed token stays what it is."""
        return () if obj is None else self.facts

    def add(self, request: HttpRequest, form: Any) -> tuple[PerformanceToken, str]:
        """Mint it."""
        given = form.cleaned_data
        minted = services.mint(actor=operator(request), holder=None, hours=str(given["hours"]), is_admin=given["admin"])
        return minted.row, minted.secret


@register_warning
def purge_overdue(request: HttpRequest) -> str:
    """Performance tokens pile up."""
    may_view = request.user.has_perm("podcast_perf.view_performancetoken")
    if not may_view or not services.is_purge_overdue(now=timezone.now()):
        return ""
    return (
        "No performance tokens were purged for a week, and some are stored that expired more than a month ago. "
        "Run purge_tokens every day, from a timer."
    )
