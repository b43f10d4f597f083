"""Superusers who change one another at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group as Role
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse

from tests.admin.conftest import shown_by
from tests.tokens.test_race import at_once
from tokens import operators
from tokens.core.audit import SYSTEM
from tokens.models import Operator

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 12


@pytest.mark.parametrize("kept", [{"is_active": "on"}, {"is_superuser": "on"}], ids=["demoted", "switched off"])
@pytest.mark.parametrize("is_mutual", [True, False], ids=["each other", "themselves"])
def test_leave_one_who_manages_operators(kept, is_mutual):
    users = [User.objects.create_superuser(name) for name in ("jane", "joe")]
    for _ in range(ROUNDS):
        User.objects.update(is_active=True, is_superuser=True)
        posts = []
        for user, other in (users, reversed(users)):
            browser, changed = Client(), other if is_mutual else user
            browser.force_login(user)
            url = reverse("admin:tokens_operator_change", args=[changed.pk])
            body = {**shown_by(browser, url), "username": changed.username, **kept}
            posts.append(lambda _client, browser=browser, url=url, body=body: browser.post(url, body).status_code)
        assert at_once(*posts)[0] in {200, 302}
        assert User.objects.filter(is_active=True, is_superuser=True).count() == 1


def test_give_each_their_role_to_one_operator(operator):
    joe = User.objects.create_user("joe", is_staff=True)
    url = reverse("admin:tokens_operator_change", args=[joe.pk])
    browsers = [Client(), Client()]
    for browser in browsers:
        browser.force_login(operator)
    for _ in range(ROUNDS):
        joe.groups.clear()
        posts = []
        for browser, name in zip(browsers, ("viewers", "security"), strict=True):
            given = {"username": "joe", "is_active": "on", "groups": Role.objects.get(name=name).pk}
            body = {**shown_by(browser, url), **given}
            posts.append(lambda _client, browser=browser, body=body: browser.post(url, body).status_code)
        assert at_once(*posts) == [302, 302]
        assert joe.groups.count() == 2


def test_give_each_other_a_role(operator):
    users = [operator, User.objects.create_superuser("joe")]
    for _ in range(ROUNDS):
        posts = []
        for user, other in (users, reversed(users)):
            other.groups.clear()
            browser, url = Client(), reverse("admin:tokens_operator_change", args=[other.pk])
            browser.force_login(user)
            given = {"username": other.username, "is_active": "on", "is_superuser": "on"}
            body = {**shown_by(browser, url), **given, "groups": Role.objects.get(name="viewers").pk}
            posts.append(lambda _client, browser=browser, url=url, body=body: browser.post(url, body).status_code)
        assert at_once(*posts) == [302, 302]


@pytest.mark.parametrize(
    "change",
    [operators.is_last_superuser, lambda row: operators.update(row, {"email": "new@example.org"}, actor=SYSTEM)],
    ids=["demoted", "updated"],
)
def test_keep_waiting_nobody_who_tells_of_what_they_do(operator, change):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time.")

    def tell():
        try:
            LogEntry.objects.create(user_id=operator.pk, action_flag=CHANGE)
        finally:
            connections.close_all()

    with ThreadPoolExecutor() as pool, transaction.atomic():
        change(Operator.objects.get(pk=operator.pk))
        pool.submit(tell).result(timeout=10)


def test_add_one_operator_of_a_name(operator):
    add, browsers = reverse("admin:tokens_operator_add"), [Client(), Client()]
    for browser in browsers:
        browser.force_login(operator)
    for number in range(ROUNDS):
        body = {"username": f"joe{number}", "password1": "staple battery horse", "password2": "staple battery horse"}
        body["usable_password"] = "true"
        posts = [lambda _c, browser=browser, body=body: browser.post(add, body).status_code for browser in browsers]
        assert set(at_once(*posts)) <= {200, 302}
        assert User.objects.filter(username=f"joe{number}").count() == 1
