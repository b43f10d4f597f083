"""The admin of a kind of credential: its state and times as people read them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.admin import SimpleListFilter
from django.db.models import Q
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.utils import display_for_label

from tokens.core.admin.forms import NetworksField
from tokens.core.admin.registry import RegistryAdmin
from tokens.core.admin.verbs import EXTEND, REVOKE, ROTATE, Verb
from tokens.core.admin.words import moment
from tokens.core.models import Credential, Range, State
from tokens.core.times import later

STATE_COLOURS = {
    State.ACTIVE: "success",
    State.PENDING: "info",
    State.INACTIVE: "warning",
    State.LOCKED: "warning",
    State.EXPIRED: "danger",
    State.REVOKED: "danger",
}


class StateFilter(SimpleListFilter):
    """Credentials by what they are now."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The states that this kind knows."""
        known = {*model_admin.model.obstacles(timezone.now()), State.ACTIVE}
        return [(state.value, state.label) for state in reversed(State) if state in known]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The rows in the state that was chosen."""
        state = self.value()
        return queryset.in_state(State(state)) if state in State.values else queryset

    def ranges(self, model: type[Credential]) -> Sequence[Range] | None:
        """Where they are."""
        state = self.value()
        return model.ranges(State(state), now=timezone.now()) if state in State.values else None


class ExpiryFilter(SimpleListFilter):
    """Credentials by when they end."""

    title = "expiry"
    parameter_name = "expires"
    WINDOWS: dict[str, tuple[str, timedelta, timedelta]] = {  # noqa: RUF012 — never changed
        "day": ("Within 24 hours", timedelta(0), timedelta(days=1)),
        "week": ("Within 7 days", timedelta(0), timedelta(days=7)),
        "month": ("Within 30 days", timedelta(0), timedelta(days=30)),
        "past": ("In the last 7 days", timedelta(days=-7), timedelta(0)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The windows."""
        return [*((name, words) for name, (words, _, _) in self.WINDOWS.items()), ("never", "Never")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The rows that end in the window that was chosen."""
        chosen = self.value()
        if chosen == "never":
            return queryset.filter(expires_at__isnull=True)
        if chosen in self.WINDOWS:
            _, begin, end = self.WINDOWS[chosen]
            now = timezone.now()
            return queryset.filter(expires_at__gt=later(now, begin), expires_at__lte=later(now, end))
        return queryset

    def ranges(self, model: type[Credential]) -> Sequence[Range] | None:
        """Where they are, what is nearest to this moment first."""
        order = "-expires_at" if self.value() == "past" else "expires_at"
        return (Range(Q(), (order,)),) if self.value() in self.WINDOWS else None


class CredentialAdmin(RegistryAdmin):
    """The admin of one kind of credential."""

    list_filter: ClassVar[Any] = (StateFilter, ExpiryFilter)
    sortable_by: Sequence[str] = ("name", "created_at", "shown_created")
    verbs: ClassVar[Sequence[Verb]] = (REVOKE,)
    facts: Sequence[str] = ("labelled_state", "shown_created")
    kept: Sequence[str] = ("name",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Of a revoked credential everything."""
        found = super().get_readonly_fields(request, obj)
        return found if obj is None or obj.revoked_at is None else tuple(dict.fromkeys((*found, *self.fields)))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Networks as text with commas."""
        if db_field.name == "allowed_networks":
            return NetworksField(
                required=False,
                help_text="Where it may be used from, such as 192.0.2.0/24, 2001:db8::1. Empty: anywhere.",
            )
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in {"starts_at", "expires_at"}:
            field.help_text = "UTC"
        return field

    def consequences(self, verb: Verb, rows: list[Any]) -> list[str]:
        """How many work now and will not any more; how many a short extension leaves alone."""
        now = timezone.now()
        if verb is ROTATE:
            older = sum(bool(row.overlap(now=now)) for row in rows)
            ends = f"{older} of {len(rows)} {pluralize(older, 'was,were')} rotated before"
            return [f"{ends}, and the secret of before that still works: it will stop at once."] if older else []
        if verb is EXTEND:
            late = sum(row.expires_at > now + timedelta(days=30) for row in rows)
            ends = f"{late} of {len(rows)} end{pluralize(late, 's,')} more than 30 days from now"
            return [f"{ends}: what would shorten that changes nothing."] if late else []
        if not verb.is_ending:
            return []
        usable = [row for row in rows if row.is_usable(now=now)]
        recent = [row for row in rows if row.last_used_at is not None and row.last_used_at > now - timedelta(days=1)]
        return [
            f"{len(usable)} of {len(rows)} can be used now, and will stop working at once."
            if usable
            else "None of them can be used now.",
            *([f"{len(recent)} used within the last 24 hours: somebody will notice."] if recent else []),
        ]

    @display(description="State", label=STATE_COLOURS)
    def shown_state(self, row: Credential) -> State:
        """The state as a coloured label."""
        return row.state_at(timezone.now())

    @display(description="State")
    def labelled_state(self, row: Credential) -> SafeString:
        """The same on the page of the row, where the theme shows words alone."""
        return display_for_label(self.shown_state(row), "-", STATE_COLOURS)

    @display(description="Owner")
    def shown_owner(self, row: Credential) -> str:
        """Who it belongs to."""
        return row.owner_label or "-"

    @display(description="Key")
    def shown_key(self, row: Any) -> SafeString:
        """The first characters of the secret."""
        return format_html("<code>{}…</code>", row.preview)

    @display(description="Expires")
    def shown_expiry(self, row: Credential) -> SafeString | str:
        """When it ends."""
        return moment(row.expires_at, never="never")

    @display(description="Last used")
    def shown_use(self, row: Credential) -> SafeString | str:
        """When it was last used."""
        return moment(row.last_used_at, never="never")

    @display(description="Uses")
    def shown_count(self, row: Any) -> str:
        """How often it was used."""
        return f"{row.use_count:,}"

    @display(description="Rotated")
    def shown_rotation(self, row: Any) -> SafeString | str:
        """When it got the secret that it has, and whether the one before still works and is used."""
        return format_html("{} {}", moment(row.rotated_at, never="never"), row.overlap(now=timezone.now()))
