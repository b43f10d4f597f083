"""The admin of the notices that `notify_expiring` sends, read-only: what was sent, and what could not be delivered."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from tokens.core import kinds
from tokens.core.admin.links import linked, page_about, page_of
from tokens.core.admin.overview import register_warning
from tokens.core.admin.registry import HistoryAdmin
from tokens.core.admin.words import moment
from tokens.core.models import Notice
from tokens.core.operations import notices

CHANNELS = {"mail": "Mail", "webhook": "Webhook"}


class OutcomeFilter(SimpleListFilter):
    """Notices by what became of them."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Delivered or not."""
        return [("failed", "Failed"), ("sent", "Sent")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The notices that were chosen."""
        if self.value() == "failed":
            return queryset.exclude(failure="")
        return queryset.filter(sent_at__isnull=False) if self.value() == "sent" else queryset


class WayFilter(SimpleListFilter):
    """Notices by the way that they went."""

    title = "way"
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The ways."""
        return list(CHANNELS.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The notices that went the chosen way."""
        return queryset.filter(channel=self.value()) if self.value() in CHANNELS else queryset


class NoticeAdmin(HistoryAdmin):
    """Notices, read-only."""

    icon = "outgoing_mail"
    list_display = ("shown_moment", "shown_outcome", "shown_credential", "shown_way", "shown_stage", "shown_expiry")
    list_filter = (OutcomeFilter, WayFilter)
    fields = (*list_display, "shown_failure")
    readonly_fields = fields

    @display(description="Credential")
    def shown_credential(self, notice: Any) -> SafeString | str:
        """What is about to expire, with the way there."""
        row = notice.credential if hasattr(notice, "credential") else credentials([notice]).get(notice.pk)
        words = str(row) if row is not None else f"{notice.kind.replace('_', ' ')} {notice.object_id}"
        return linked(page_about(notice.kind, notice.object_id, site=self.admin_site), words)

    @display(description="Outcome", label={"sent": "success", "failed": "danger", "being sent": "info"})
    def shown_outcome(self, notice: Notice) -> str:
        """Whether somebody was told."""
        if notice.failure:
            return "failed"
        return "sent" if notice.sent_at else "being sent"

    @display(description="Failure")
    def shown_failure(self, notice: Notice) -> str:
        """Why it was not delivered, as the mail server or the webhook made it known."""
        return notice.failure or "-"

    @display(description="Way")
    def shown_way(self, notice: Notice) -> str:
        """By mail or webhook."""
        return CHANNELS.get(notice.channel, notice.channel)

    @display(description="Sent ahead")
    def shown_stage(self, notice: Notice) -> str:
        """How long before the end."""
        return f"{notice.days} day{pluralize(notice.days)}"

    @display(description="Expires")
    def shown_expiry(self, notice: Notice) -> SafeString | str:
        """When the credential ends, as the notice says."""
        return moment(notice.expires_at, never="")

    @display(description="Tried")
    def shown_moment(self, notice: Notice) -> SafeString | str:
        """When it was sent, or last tried."""
        return moment(notice.sent_at or notice.claimed_at, never="")

    def badge(self, request: HttpRequest) -> int:
        """How many could not be delivered lately."""
        return notices.failed(now=timezone.now())

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, its credentials fetched together."""
        page = super().get_changelist_instance(request)
        found = credentials(page.result_list)
        for notice in page.result_list:
            notice.credential = found.get(notice.pk)
        return page


def credentials(listed: Any) -> dict[int, Any]:
    """The credentials that notices are about, by the id of the notice, with one query for each kind."""
    models = kinds.models()
    found: dict[int, Any] = {}
    for name in sorted({notice.kind for notice in listed}):
        model = models.get(name)
        ids = {notice.object_id for notice in listed if notice.kind == name and notice.object_id.isdecimal()}
        rows = model._default_manager.in_bulk(map(int, ids)) if model is not None else {}
        found |= {
            notice.pk: rows.get(int(notice.object_id))
            for notice in listed
            if notice.kind == name and notice.object_id in ids
        }
    return found


@register_warning
def undelivered(request: HttpRequest) -> SafeString | str:
    """Somebody was not told that a credential expires."""
    if not request.user.has_perm("tokens.view_notice"):
        return ""
    number = notices.failed(now=timezone.now())
    if not number:
        return ""
    url = f"{page_of(Notice, 'changelist')}?outcome=failed"
    many = f"{number} or more notices" if number == notices.MANY else f"{number} notice{pluralize(number)}"
    sentence = "{} that credentials are about to expire could not be delivered. <a href='{}'>See which and why</a>"
    return format_html(sentence, many, url)
