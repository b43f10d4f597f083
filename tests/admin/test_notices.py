"""Notices: a list that says what was not delivered and why, a badge and a warning as long as that goes on."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.admin.conftest import member
from tests.factories import ApiKeyFactory, NamedTokenFactory, PublisherFactory
from tokens.core.operations import notices
from tokens.models import Notice

pytestmark = pytest.mark.django_db

LIST = "/admin/tokens/notice/"
REFUSED = "ConnectionRefusedError"


def notice(row=None, *, failure="", ago=timedelta(hours=1), **fields):
    row = row or NamedTokenFactory()
    now = timezone.now()
    told = {"expires_at": now + timedelta(days=7), "days": 7, "channel": "mail", "claimed_at": now - ago, **fields}
    sent_at = None if failure else now - ago
    return Notice.objects.create(kind=row.kind, object_id=str(row.pk), failure=failure, sent_at=sent_at, **told)


def badge(browser):
    pages = browser.get(reverse("admin:tokens_namedtoken_changelist")).context["sidebar_navigation"]
    return next(line["badge"] for group in pages for line in group["items"] if line["title"] == "Notices")


def warned(browser):
    found = [text for text in browser.get(reverse("admin:index")).context["warnings"] if "delivered" in text]
    return found[0] if found else ""


def test_lists_what_was_sent_and_what_failed_with_the_way_to_the_credential(admin):
    key = ApiKeyFactory(name="laptop")
    notice(key, failure=REFUSED)
    notice(NamedTokenFactory(name="ci"), channel="webhook")
    page = admin.get(LIST).content.decode()
    for words in ("laptop", "ci", "failed", "sent", "Mail", "Webhook", "7 days"):
        assert words in page
    assert reverse("admin:edi_auth_apikey_change", args=[key.pk]) in page


def test_says_why_a_notice_was_not_delivered(admin):
    failed = notice(failure=REFUSED)
    assert REFUSED in admin.get(f"{LIST}{failed.pk}/change/").content.decode()


@pytest.mark.parametrize(("query", "found"), [({"outcome": "failed"}, 1), ({"outcome": "sent"}, 2), ({}, 3)])
def test_filters_by_what_became_of_a_notice(admin, query, found):
    notice(failure=REFUSED), notice(), notice(channel="webhook")
    assert len(admin.get(LIST, query).context["cl"].result_list) == found


def test_filters_by_the_way_that_a_notice_went(admin):
    notice(), notice(channel="webhook")
    assert len(admin.get(LIST, {"channel": "webhook"}).context["cl"].result_list) == 1


def test_takes_few_queries_however_many_notices(admin):
    for _ in range(5):
        notice(failure=REFUSED), notice(ApiKeyFactory()), notice(PublisherFactory())
    with CaptureQueriesContext(connection) as queries:
        assert admin.get(LIST).status_code == 200
    assert len(queries) < 10


def test_shows_a_notice_about_a_kind_that_is_installed_no_more(admin):
    row = NamedTokenFactory()
    row.kind = "badge"
    notice(row)
    assert f"badge {row.pk}" in admin.get(LIST).content.decode()


def test_counts_in_the_sidebar_what_failed(admin):
    assert badge(admin) == 0
    notice(), notice(failure=REFUSED), notice(failure="SMTPServerDisconnected")
    assert badge(admin) == 2


def test_counts_no_failure_that_was_made_up_for_and_none_of_long_ago(admin):
    failed = notice(failure=REFUSED)
    notice(failure=REFUSED, ago=timedelta(days=8))
    Notice.objects.filter(pk=failed.pk).update(failure="", sent_at=timezone.now())
    assert badge(admin) == 0
    assert warned(admin) == ""


def test_warns_on_the_overview_with_the_way_to_what_failed(admin):
    notice(failure=REFUSED)
    assert warned(admin).startswith("1 notice that")
    notice(failure=REFUSED)
    assert warned(admin).startswith("2 notices that")
    assert f"{LIST}?outcome=failed" in admin.get(reverse("admin:index")).content.decode()


def test_counts_no_further_than_anybody_reads(admin, monkeypatch):
    monkeypatch.setattr(notices, "MANY", 2)
    notice(failure=REFUSED), notice(failure=REFUSED), notice(failure=REFUSED)
    assert badge(admin) == 2
    assert warned(admin).startswith("2 or more notices")


def test_lets_viewers_see_notices():
    browser = member("viewers")
    notice(failure=REFUSED)
    assert badge(browser) == 1
    assert browser.get(LIST).status_code == 200


def test_tells_those_without_the_permission_nothing(client, django_user_model):
    joe = django_user_model.objects.create_user("joe", is_staff=True)
    codenames = ("view_auditevent", "view_namedtoken")
    joe.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(joe)
    notice(failure=REFUSED)
    assert warned(client) == ""
    assert "Notices" not in client.get(reverse("admin:tokens_namedtoken_changelist")).content.decode()
    assert client.get(LIST).status_code == 403


@pytest.mark.parametrize("page", ["add/", "{pk}/change/", "{pk}/delete/"])
def test_lets_nobody_write_notices(admin, page):
    stored = notice(failure=REFUSED)
    before = Notice.objects.values().get()
    response = admin.post(LIST + page.format(pk=stored.pk), {"failure": "", "post": "yes"})
    assert response.status_code == 403
    assert Notice.objects.values().get() == before


def test_gives_nobody_the_permission_to_write_notices():
    assert set(Permission.objects.filter(codename__endswith="_notice").values_list("codename", flat=True)) == {
        "view_notice"
    }


def test_exports_notices(admin):
    notice(failure=REFUSED)
    text = b"".join(admin.get(f"{LIST}export/json/").streaming_content)
    assert [(row["kind"], row["failure"]) for row in json.loads(text)] == [("named_token", REFUSED)]
