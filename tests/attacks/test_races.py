"""A hundred threads at one name, one key, one rotation: what must be there once is there once."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import OperationalError, connections
from django.http import HttpResponse
from django.utils import timezone

from edi_auth import services
from edi_auth.models import ApiKey
from podcast_perf import services as podcast_services
from tests.client import APIClient
from tests.factories import ApiKeyFactory, NamedTokenFactory, ProfileFactory, PublisherFactory, secret_of, value_of
from tokens.core.audit import SYSTEM
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db(transaction=True)

SORT = "races of a hundred threads"
THREADS = 100
PATIENCE = 60


@pytest.fixture(autouse=True)
def threads_that_change_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def at_once(tried):
    """The answers to one call that a hundred threads make at once. Told that the database is busy, they try again."""

    def run(*calls: Callable[[APIClient], object]) -> list:
        barrier = Barrier(THREADS)

        def attack(number: int):
            client = APIClient()
            client.raise_request_exception = False
            barrier.wait(timeout=PATIENCE)
            end = time.monotonic() + PATIENCE
            try:
                while (response := calls[number % len(calls)](client)).status_code == 503 and time.monotonic() < end:
                    connections.close_all()
                return response
            finally:
                connections.close_all()

        tried(THREADS)
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(attack, range(THREADS)))

    return run


def statuses(responses):
    return dict(Counter(response.status_code for response in responses))


def is_active(api, bearer, value):
    return api.call("POST", "/introspect", {"token": value}, bearer=bearer).json()


def test_gives_one_name_to_one_of_a_hundred(at_once, api, bearer):
    responses = at_once(lambda client: client.call("POST", "/_/token", {"name": "one"}, bearer=bearer))
    assert statuses(responses) == {201: 1, 409: THREADS - 1}
    assert NamedToken.objects.filter(name="one").count() == 1
    assert AuditEvent.objects.filter(action="tokens:named_token:mint").count() == 1


def test_counts_every_use_of_one_key(at_once):
    key = ApiKeyFactory()
    responses = at_once(lambda client: client.call("POST", "/auth/v1/key", {"key": secret_of(key)}))
    assert statuses(responses) == {200: THREADS}
    key.refresh_from_db()
    assert key.use_count == THREADS


def test_counts_no_use_of_a_key_after_its_end(at_once):
    key = ApiKeyFactory()
    use = ("POST", "/auth/v1/key", {"key": secret_of(key)})
    end = ("POST", "/revoke", {"token": secret_of(key)})
    responses = at_once(*[lambda client: client.call(*use)] * 9, lambda client: client.call(*end))
    uses = [response for response in responses if "pasta-token" in response.json()]
    assert set(statuses(responses)) <= {200, 403}
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert key.use_count == len(uses)
    assert AuditEvent.objects.filter(action="edi_auth:api_key:revoke").count() == 1


@pytest.mark.parametrize(("grace", "live"), [(3_600_000, 2), (0, 1)])
def test_leaves_one_current_value_after_a_hundred_rotations(at_once, api, bearer, grace, live):
    first = value_of(NamedTokenFactory(name="one"))
    body = {"name": "one", "grace": grace}
    responses = at_once(lambda client: client.call("POST", "/_/token/rotate", body, bearer=bearer))
    assert statuses(responses) == {200: THREADS}
    values = {response.json()["data"][0]["token"] for response in responses}
    assert len(values) == THREADS
    said = [said for value in (first, *values) if (said := is_active(api, bearer, value))["active"]]
    assert len(said) == live
    assert sum("exp" not in one for one in said) == 1
    assert AuditEvent.objects.filter(action="tokens:named_token:rotate").count() == THREADS


@pytest.mark.parametrize(("grace", "live"), [(timedelta(hours=1), 2), (timedelta(0), 1)])
def test_leaves_one_current_secret_after_a_hundred_rotations_of_a_key(at_once, grace, live):
    key = ApiKeyFactory()
    secrets = rotated(at_once, lambda: services.rotate_key(key, actor=SYSTEM, grace=grace).secret)
    client = APIClient()
    opened = [client.call("POST", "/auth/v1/key", {"key": secret}).status_code for secret in (secret_of(key), *secrets)]
    assert Counter(opened) == {200: live, 401: THREADS + 1 - live}


@pytest.mark.parametrize(("grace", "live"), [(timedelta(hours=1), 2), (timedelta(0), 1)])
def test_leaves_one_current_key_after_a_hundred_rotations_of_a_publisher(at_once, grace, live):
    row = PublisherFactory()
    keys = rotated(at_once, lambda: podcast_services.rotate_publisher(row, actor=SYSTEM, grace=grace)[1])
    client = APIClient()
    opened = [client.call("GET", "/token", headers={"X-PUB-KEY": key}).status_code for key in (secret_of(row), *keys)]
    assert Counter(opened) == {200: live, 400: THREADS + 1 - live}


def rotated(at_once, rotate):
    """What each of a hundred rotations by a service made: there is no HTTP call for these."""
    made = []

    def call(client):
        try:
            made.append(rotate())
        except OperationalError:
            return HttpResponse(status=503)
        return HttpResponse()

    assert statuses(at_once(call)) == {200: THREADS}
    assert len(set(made)) == THREADS
    return made


def test_ends_a_token_once_however_many_find_it(at_once, api, bearer):
    value = value_of(NamedTokenFactory(name="one"))
    responses = at_once(lambda client: client.call("POST", "/revoke", {"token": value}))
    assert statuses(responses) == {200: THREADS}
    assert is_active(api, bearer, value) == {"active": False}
    assert AuditEvent.objects.filter(action="tokens:named_token:revoke").count() == 1


def test_leaves_no_value_of_a_token_that_was_ended_while_it_was_rotated(at_once, api, bearer):
    first = value_of(NamedTokenFactory(name="one"))
    responses = at_once(
        lambda client: client.call("POST", "/_/token/rotate", {"name": "one"}, bearer=bearer),
        lambda client: client.call("DELETE", "/_/token", {"name": "one"}, bearer=bearer),
    )
    assert set(statuses(responses)) <= {200, 403, 404}
    values = [row["token"] for response in responses for row in response.json().get("data", []) if "token" in row]
    assert [value for value in (first, *values) if is_active(api, bearer, value)["active"]] == []
    assert AuditEvent.objects.filter(action="tokens:named_token:revoke").count() == 1


def test_locks_a_profile_once_however_many_keys_are_used_meanwhile(at_once, settings, snapshot):
    settings.EDI_SERVICE_KEY = "a-service-key"
    profile = ProfileFactory()
    administrator = ProfileFactory(is_administrator=True)
    keys = ApiKeyFactory.create_batch(3, owner=profile)
    client = APIClient()
    cookie = client.call("POST", "/auth/v1/key", {"key": secret_of(ApiKeyFactory(owner=administrator))}).json()
    headers = {"Cookie": f"edi-token={cookie['edi-token']}"}
    path = f"/auth/v1/token/{profile.edi_id}"
    responses = at_once(
        lambda client: client.call("DELETE", path, headers=headers),
        lambda client: client.call("POST", path, {"key": "a-service-key"}),
        *[lambda client, key=key: client.call("POST", "/auth/v1/key", {"key": secret_of(key)}) for key in keys],
    )
    assert set(statuses(responses)) <= {200, 403}
    assert AuditEvent.objects.filter(action="edi_auth:profile:lock").count() == 1
    used = [response for number, response in enumerate(responses) if number % 5 > 1 and response.status_code == 200]
    assert sum(ApiKey.objects.filter(owner=profile).values_list("use_count", flat=True)) == len(used)
    assert client.call("POST", "/auth/v1/key", {"key": secret_of(keys[0])}).status_code == 403
    profile.refresh_from_db()
    assert profile.locked_at <= timezone.now()
