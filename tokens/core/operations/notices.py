"""Telling people that a credential is about to expire: 30, 7 and 1 days ahead, by mail and by a signed webhook.

Of each stage a credential reaches, each way tells once. A run that was missed is made up for by the next one: the
stage that counts then is sent, and if the credential has expired meanwhile, that it has. What could not be sent is
tried again.
"""

import hashlib
import hmac
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.error import HTTPError

import orjson
from django.conf import settings
from django.core import mail
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.template.defaultfilters import pluralize

from tokens.core import kinds
from tokens.core.models import Credential, Notice
from tokens.core.times import later

STAGES = (30, 7, 1)
# How long a run that has claimed a notice has for sending it, before another run takes it over.
CLAIM = timedelta(minutes=10)
# An expiry that everybody slept through is told of for so long.
LATE = timedelta(days=30)
WEBHOOK_SECONDS = 10
# What failed is tried again by every run; what no run has tried for so long is history.
LATELY = timedelta(days=7)
MANY = 100


@dataclass(frozen=True, slots=True)
class Expiry:
    """A credential that is about to expire, or just has, at the stage it has reached."""

    kind: kinds.Kind
    row: Credential
    expires_at: datetime
    days: int

    def words(self, now: datetime) -> str:
        """One line for people."""
        days = (self.expires_at - now).days
        soon = "expires within a day" if days < 1 else f"expires in {days} day{pluralize(days)}"
        when = "has expired" if self.expires_at <= now else soon
        return f"{self.kind.label} {self.row} {when} ({self.expires_at:%Y-%m-%d %H:%M} UTC)"

    def document(self) -> dict[str, Any]:
        """The same for programs. It holds no credential."""
        return {
            "event": "credential.expiring",
            "kind": self.kind.name,
            "id": str(self.row.pk),
            "label": str(self.row),
            "expires_at": self.expires_at.isoformat(),
            "days": self.days,
        }


@dataclass(slots=True)
class Outcome:
    """What a run did."""

    sent: int = 0
    failed: int = 0


def expiring(now: datetime) -> Iterator[Expiry]:
    """What has reached a stage at `now`."""
    for kind in kinds.all_kinds():
        if kind.model is None or not kind.notifies:
            continue
        is_near = Q(expires_at__gt=now - LATE, expires_at__lte=later(now, timedelta(days=max(STAGES))))
        owners = [field.name for field in kind.model._meta.fields if field.many_to_one]
        rows = kind.model.objects.filter(is_near, revoked_at__isnull=True, is_active=True).select_related(*owners)
        for row in rows.order_by("expires_at"):
            if row.expires_at is not None and not row.is_locked():
                left = row.expires_at - now
                yield Expiry(kind, row, row.expires_at, min(days for days in STAGES if left <= timedelta(days=days)))


def notify(now: datetime) -> Outcome:
    """Tell of everything that has reached a stage and was not told of yet. Two runs at once tell nothing twice."""
    outcome = Outcome()
    sent = Notice.objects.filter(sent_at__isnull=False, expires_at__gt=now - LATE).order_by()
    told = set(sent.values_list("kind", "object_id", "expires_at", "days", "channel"))
    for expiry in expiring(now):
        about = expiry.kind.name, str(expiry.row.pk), expiry.expires_at, expiry.days
        for channel, send in channels(expiry).items():
            notice = None if (*about, channel) in told else _claimed(expiry, channel, now=now)
            if notice is not None:
                _deliver(notice, partial(send, expiry, now), outcome, now=now)
    return outcome


def failed(*, now: datetime) -> int:
    """How many notices could not be delivered lately, at most `MANY`. What was delivered later counts no more."""
    return Notice.objects.filter(~Q(failure=""), claimed_at__gt=now - LATELY).order_by()[:MANY].count()


def channels(expiry: Expiry) -> dict[str, Callable[[Expiry, datetime], None]]:
    """The ways that are set up."""
    ways: dict[str, Callable[[Expiry, datetime], None]] = {}
    if settings.EMAIL_HOST and _recipients(expiry):
        ways["mail"] = send_mail
    if settings.NOTIFY_WEBHOOK_URL:
        ways["webhook"] = post
    return ways


def _recipients(expiry: Expiry) -> list[str]:
    owner = expiry.row.contact()
    return [owner] if owner else list(settings.NOTIFY_EMAILS)


def _claimed(expiry: Expiry, channel: str, *, now: datetime) -> Notice | None:
    """The notice that this run alone may send now; None when it was sent, or another run is at it."""
    key = {
        "kind": expiry.kind.name,
        "object_id": str(expiry.row.pk),
        "expires_at": expiry.expires_at,
        "days": expiry.days,
        "channel": channel,
    }
    try:
        with transaction.atomic():
            return Notice.objects.create(**key, claimed_at=now)
    except IntegrityError:
        is_free = ~Q(failure="") | Q(claimed_at__lte=now - CLAIM)
        taken = Notice.objects.filter(is_free, **key, sent_at__isnull=True).update(claimed_at=now, failure="")
        return Notice.objects.get(**key) if taken else None


def _deliver(notice: Notice, send: Callable[[], None], outcome: Outcome, *, now: datetime) -> None:
    try:
        send()
    except Exception as exc:  # noqa: BLE001 — whatever one way raises, the others and the next have their turn
        notice.failure = type(exc).__name__
        outcome.failed += 1
    else:
        notice.sent_at = now
        outcome.sent += 1
    notice.save(update_fields=["failure", "sent_at"])


def send_mail(expiry: Expiry, now: datetime) -> None:
    """Mail the owner, or the operators. Raises `OSError`."""
    words = expiry.words(now)
    body = f"{words}.\n\nExtend it, or move to another one, before then; afterwards whoever uses it is refused.\n"
    subject = " ".join(words.split())
    mail.EmailMessage(subject, body, settings.DEFAULT_FROM_EMAIL, _recipients(expiry)).send()


def post(expiry: Expiry, now: datetime) -> None:
    """POST the document to `NOTIFY_WEBHOOK_URL`, signed. Raises `OSError`, for an answer that is no 2xx too."""
    body = orjson.dumps(expiry.document())
    moment = str(int(now.timestamp()))
    headers = {"Content-Type": "application/json", "X-Registry-Signature": f"t={moment},v1={signature(moment, body)}"}
    request = urllib.request.Request(settings.NOTIFY_WEBHOOK_URL, body, headers)  # noqa: S310 — settings allow http(s)
    try:
        urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS).close()  # noqa: S310 — settings allow http(s)
    except HTTPError as exc:
        exc.close()
        raise


def signature(moment: str, body: bytes) -> str:
    """HMAC-SHA256 of `<t>.<body>` under `NOTIFY_WEBHOOK_SECRET`, in hex."""
    return hmac.new(settings.NOTIFY_WEBHOOK_SECRET.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
