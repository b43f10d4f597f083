"""The admin of the audit log, read-only."""

from datetime import timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display

from tokens.core import audit
from tokens.core.admin.links import linked, log_by, page_about
from tokens.core.admin.registry import HistoryAdmin
from tokens.core.admin.words import moment, verb_words
from tokens.core.models import AuditEvent


class ActionFilter(SimpleListFilter):
    """Audit events by what was done."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All actions there are, without looking through the log for them."""
        values = (action.value for actions in audit.Action.__subclasses__() for action in actions)
        return [(value, verb_words(value)) for value in sorted(values, key=lambda value: value.split(":")[1:])]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The events of the action that was chosen."""
        return queryset.filter(action=self.value()) if self.value() else queryset


class ChannelFilter(SimpleListFilter):
    """Audit events by the way that they came."""

    title = "channel"
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The ways in."""
        return [("api", "API"), ("admin", "Admin"), ("command", "Command"), ("system", "System")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The events that came the chosen way."""
        return queryset.filter(channel=self.value()) if self.value() else queryset


class PeriodFilter(SimpleListFilter):
    """Audit events by when they happened."""

    title = "time"
    parameter_name = "since"
    PERIODS: dict[str, tuple[str, timedelta]] = {  # noqa: RUF012 — never changed
        "hour": ("The last hour", timedelta(hours=1)),
        "day": ("The last 24 hours", timedelta(days=1)),
        "week": ("The last 7 days", timedelta(days=7)),
        "month": ("The last 30 days", timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The periods."""
        return [(name, words) for name, (words, _) in self.PERIODS.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The events of the period that was chosen."""
        chosen = self.value()
        return queryset.filter(at__gte=timezone.now() - self.PERIODS[chosen][1]) if chosen in self.PERIODS else queryset


class AboutFilter(SimpleListFilter):
    """Audit events about one object, `about=kind:id`, or by one actor, `about=kind:id@actor`: what links lead to."""

    title = "object"
    parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What is chosen now."""
        chosen = request.GET.get("about", "")
        return [(chosen, chosen.replace("_", " ").replace(":", " "))] if chosen else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The events that were chosen."""
        chosen = self.value() or ""
        kind, _, rest = chosen.partition(":")
        if not rest:
            return queryset
        object_id, _, is_actor = rest.rpartition("@") if rest.endswith("@actor") else (rest, "", "")
        if is_actor:
            return queryset.filter(actor_kind=kind, actor_id=object_id)
        return queryset.filter(kind=kind, object_id=rest)


class AuditEventAdmin(HistoryAdmin):
    """The audit log, read-only."""

    icon = "history"
    ordering = ("-at", "-id")
    list_display = ("shown_at", "shown_action", "shown_object", "shown_actor", "channel", "address", "reason")
    list_filter = (PeriodFilter, ActionFilter, ChannelFilter, AboutFilter)
    search_fields = ("object_label", "request_id")
    search_help_text = "Object or request id begins with (case-sensitive)"
    export_formats = ("jsonl", "csv")
    fields = (
        *("shown_at", "shown_action", "shown_object", "shown_actor", "channel", "address", "request_id", "reason"),
        *("before", "after"),
    )
    readonly_fields = fields

    @display(description="When")
    def shown_at(self, event: AuditEvent) -> SafeString | str:
        """When it happened."""
        return moment(event.at, never="")

    @display(description="What")
    def shown_action(self, event: AuditEvent) -> str:
        """What was done."""
        return verb_words(event.action)

    @display(description="Object")
    def shown_object(self, event: AuditEvent) -> SafeString | str:
        """What it was done to, with the way there."""
        return linked(page_about(event.kind, event.object_id, site=self.admin_site), event.object_label)

    @display(description="Actor")
    def shown_actor(self, event: AuditEvent) -> SafeString | str:
        """Who did it, with the way to all that they did."""
        url = log_by(event.actor_kind, event.actor_id) if event.actor_id else ""
        return linked(url, event.actor_label or event.actor_kind)
