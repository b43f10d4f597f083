"""Whoever waits for a row that somebody else is changing judges it, and tells the time, when its turn has come."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from edi_auth import services
from edi_auth.models import Profile
from tests.client import APIClient
from tests.factories import ApiKeyFactory, ProfileFactory, secret_of
from tokens.core.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 20
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"


@pytest.fixture
def begun():
    """Begin something in a thread of its own, and come back once it waits for what the test holds."""

    def closing(call):
        try:
            return call()
        finally:
            connections.close_all()

    def begin(call) -> Future:
        future = pool.submit(closing, call)
        end = time.monotonic() + PATIENCE
        while connection.vendor == "postgresql" and not is_waited_for() and not future.done():
            assert time.monotonic() < end
        return future

    with ThreadPoolExecutor() as pool:
        yield begin


def is_waited_for():
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return cursor.fetchone()[0] > 0


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda key: services.revoke_key(key, actor=SYSTEM), 403),
        (lambda key: services.update(key, actor=SYSTEM, is_active=False), 403),
        (lambda key: services.update(key, actor=SYSTEM, expires_at=timezone.now()), 401),
        (lambda key: services.update(key, actor=SYSTEM, starts_at=timezone.now() + timedelta(hours=1)), 401),
        (lambda key: services.rotate_key(key, actor=SYSTEM, grace=timedelta(0)), 401),
    ],
    ids=["revoked", "switched off", "expired", "begins later", "rotated"],
)
def test_refuses_a_key_that_was_ended_while_its_exchange_waited(begun, end, status):
    key = ApiKeyFactory()
    body = {"key": secret_of(key)}
    with transaction.atomic():
        end(key)
        answer = begun(lambda: APIClient().call("POST", "/auth/v1/key", body))
    assert answer.result(PATIENCE).status_code == status
    key.refresh_from_db()
    assert key.use_count == 0


def test_ends_the_tokens_that_were_given_while_it_waited(begun):
    profile = ProfileFactory()
    with transaction.atomic():
        Profile.objects.select_for_update().get(pk=profile.pk)
        ended = begun(lambda: services.end_tokens(profile, actor=SYSTEM))
        until = timezone.now()
    ended.result(PATIENCE)
    profile.refresh_from_db()
    assert profile.tokens_valid_after > until


def test_links_besides_the_profiles_that_were_linked_while_it_waited(begun):
    profile, first, second = ProfileFactory.create_batch(3)
    with transaction.atomic():
        services.link([profile, first], actor=SYSTEM)
        linked = begun(lambda: services.link([profile, second], actor=SYSTEM))
    linked.result(PATIENCE)
    assert set(profile.links.all()) == {first, second}
