"""Operators who are signed in, and a row of every model that the admin shows."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from tests.factories import (
    ApiKeyFactory,
    GroupFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    ProfileFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tokens.core import audit
from tokens.core.admin.roles import make_groups
from tokens.core.audit import SYSTEM
from tokens.core.models import Credential
from tokens.models import Notice, Operator
from tokens.services import Action

ATTEMPT = {"username": "jane", "ip_address": "192.0.2.1", "user_agent": "curl", "path_info": "/admin/login/"}


@pytest.fixture(autouse=True)
def roles(db: Any) -> None:
    """The groups that the migrations made, and made again where tests that empty their database took them along."""
    if not Group.objects.exists():
        for label in ("tokens", "podcast_perf", "edi_auth"):
            make_groups(label)


@pytest.fixture
def operator(db: Any) -> User:
    """A superuser."""
    return User.objects.create_superuser("jane", password="correct horse battery staple")


@pytest.fixture
def admin(operator: User) -> Client:
    """A browser in which `operator` is signed in."""
    browser = Client()
    browser.force_login(operator)
    return browser


def member(*roles: str) -> Client:
    """A browser in which an operator with these roles is signed in."""
    user = User.objects.create_user("-".join(roles) or "nobody", is_staff=True)
    user.groups.set(Group.objects.filter(name__in=roles))
    browser = Client()
    browser.force_login(user)
    return browser


def shown_by(browser: Client, url: str) -> dict[str, Any]:
    """What the form on a page sends along unseen: the values that it showed."""
    inputs = re.findall(r"<input[^>]*>", browser.get(url).content.decode())
    hidden = (dict(re.findall(r'([\w-]+)="([^"]*)"', one)) for one in inputs)
    found: dict[str, Any] = {}
    for one in hidden:
        if one.get("name", "").startswith("initial-") and one["type"] == "hidden":
            found.setdefault(one["name"], []).append(unescape(one.get("value", "")))
    return found


def about(row: Credential) -> dict[str, Any]:
    """What a notice about `row` says."""
    end = timezone.now() + timedelta(days=7)
    return {"kind": row.kind, "object_id": str(row.pk), "expires_at": end, "days": 7, "channel": "mail"}


@pytest.fixture
def secrets_and_rows(operator: User) -> tuple[list[str], dict[str, Model]]:
    """Everything that no page may show, and a row of every model by its label."""
    token, publisher, key = NamedTokenFactory(name="ci"), PublisherFactory(), ApiKeyFactory(group=GroupFactory())
    performance = PerformanceTokenFactory(publisher=publisher)
    secrets = [value_of(token), value_of(performance), secret_of(publisher), secret_of(key)]
    secrets += [publisher.key_hash, key.key_hash, operator.password, value_of(token).rpartition(".")[2]]
    rows = [
        token,
        publisher,
        performance,
        key,
        key.owner,
        key.group,
        Operator.objects.get(pk=operator.pk),
        audit.record(Action.MINT, token, actor=SYSTEM),
        Notice.objects.create(**about(token), claimed_at=timezone.now(), failure="ConnectionRefusedError"),
        AccessAttempt.objects.create(**ATTEMPT, get_data="", post_data="password=hunter2", failures_since_start=1),
        AccessFailureLog.objects.create(**ATTEMPT),
        AccessLog.objects.create(**ATTEMPT, attempt_time=timezone.now()),
    ]
    ProfileFactory()
    return [*secrets, "hunter2"], {row._meta.label: row for row in rows}
