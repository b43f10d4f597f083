"""`/healthz`, `/readyz` and `/metrics`."""

from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from edi_auth.revocations import COMMIT_SECONDS
from tests.core.wsgi import request
from tests.factories import ApiKeyFactory, NamedTokenFactory, secret_of
from tokens import services
from tokens.core.operations import exposition, health, metrics

pytestmark = pytest.mark.django_db

ALWAYS = {"database", "migrations", "clock", "cache", "named_token_key", "performance_key", "edi_key", "pasta_key"}


@pytest.fixture(autouse=True)
def fresh(snapshot, monkeypatch):
    """The snapshot of the test in place of the process's own, and no memory of earlier answers."""
    monkeypatch.setattr("edi_auth.revocations.snapshot", snapshot)
    monkeypatch.setattr(health, "_migrated", False)
    monkeypatch.setattr(exposition.usable, "_counts", {})
    snapshot.renew()


def away(*args, **kwargs):
    raise OperationalError("db.internal is away")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_is_well(method, path):
    answer = request(method, path)
    assert answer.status == 200
    assert answer.header("Content-Type") == ["application/json"]
    assert answer.header("Set-Cookie") == []


def test_says_what_it_looked_at():
    found = request("GET", "/readyz").json()
    assert found["ready"] is True
    assert found["failed"] == []
    assert found["checks"] == dict.fromkeys({*ALWAYS, "revocations"}, "ok")


def test_lives_without_its_database(monkeypatch):
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
    assert request("GET", "/healthz").status == 200


def test_is_not_ready_without_its_database(monkeypatch):
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
    answer = request("GET", "/readyz")
    assert answer.status == 503
    assert answer.header("Retry-After") == ["2"]
    found = answer.json()
    assert (found["ready"], found["failed"]) == (False, ["database"])
    assert found["checks"]["database"] == "cannot be used (OperationalError)"
    assert b"db.internal" not in answer.body
    assert "migrations" not in found["checks"]


def test_is_not_ready_before_its_migrations(monkeypatch):
    monkeypatch.setattr("django.db.migrations.executor.MigrationExecutor.migration_plan", lambda self, targets: [1, 2])
    answer = request("GET", "/readyz")
    assert answer.status == 503
    assert answer.json()["checks"]["migrations"] == "2 to apply; run manage.py migrate"


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("TOKENS_SECRET_KEY", "", "named_token_key"),
        ("PERFORMANCE_SECRET_KEY", "", "performance_key"),
        ("EDI_JWT_PRIVATE_KEY_PATH", Path("/nowhere/edi.pem"), "edi_key"),
        ("PASTA_PRIVATE_KEY_PATH", Path("/nowhere/pasta.pem"), "pasta_key"),
    ],
)
def test_is_not_ready_without_a_signing_key(settings, setting, value, name):
    setattr(settings, setting, value)
    answer = request("GET", "/readyz")
    assert answer.status == 503
    assert answer.json()["failed"] == [name]
    assert setting in answer.json()["checks"][name]


def test_is_not_ready_before_the_revocations_are_known(snapshot):
    snapshot._loaded_at = None
    assert request("GET", "/readyz").json()["checks"]["revocations"] == "were not read yet"


def test_is_not_ready_when_refreshes_are_refused(settings, snapshot):
    settings.EDI_REVOCATION_MAX_AGE = 60
    snapshot._loaded_at -= 61
    answer = request("GET", "/readyz")
    assert answer.status == 503
    assert answer.json()["checks"]["revocations"] == "61 s old; refreshes are refused"


def test_tells_of_old_revocations_and_serves_on(snapshot):
    snapshot._loaded_at -= 61
    answer = request("GET", "/readyz")
    assert answer.status == 200
    assert answer.json()["checks"]["revocations"].startswith("61 s old")


def test_serves_on_without_its_cache(monkeypatch):
    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.set", away)
    answer = request("GET", "/readyz")
    assert answer.status == 200
    assert answer.json()["checks"]["cache"] == "cannot be used (OperationalError); limits count per process"


def test_is_not_ready_when_its_clock_was_never_set(time_machine):
    time_machine.move_to("1970-01-01T00:00:09Z")
    answer = request("GET", "/readyz")
    assert answer.status == 503
    assert answer.json()["checks"]["clock"] == "says 1970-01-01; set it"


@pytest.mark.parametrize("seconds", [-60, 60])
def test_is_not_ready_when_its_clock_is_not_that_of_the_database(time_machine, seconds):
    if connection.vendor != "postgresql":
        pytest.skip("An embedded database has the clock of its process.")
    time_machine.move_to(timezone.now() + timedelta(seconds=seconds))
    assert request("GET", "/readyz").json()["checks"]["clock"] == "differs from the clock of the database by 60 s"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_takes_no_other_method(method, path):
    assert request(method, path).status == 405


def scrape():
    answer = request("GET", "/metrics")
    assert answer.status == 200
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_counts_requests_by_route_method_and_status():
    series = 'registry_requests_total{http_method="GET",route="/auth/v1/ping",status="200"}'
    before = scrape().get(series, 0)
    request("GET", "/auth/v1/ping")
    assert scrape()[series] == before + 1


def test_counts_nothing_that_a_client_can_choose():
    before = set(scrape())
    for name in ("nowhere", "auth/v1/nowhere", "_/nowhere", "token/nowhere", "admin/nowhere"):
        request("GET", f"/{name}?x={name}")
    request("BREW", "/auth/v1/ping")
    assert not any("nowhere" in name or "BREW" in name for name in set(scrape()) - before)


def test_measures_how_long_requests_take():
    series = 'registry_request_seconds_bucket{le="5.0",route="/auth/v1/ping"}'
    before = scrape().get(series, 0)
    request("GET", "/auth/v1/ping")
    assert scrape()[series] == before + 1


def test_counts_exchanges_and_refreshes():
    before = scrape()
    pair = request("POST", "/auth/v1/key", orjson.dumps({"key": secret_of(ApiKeyFactory())})).body
    for _ in range(2):
        assert request("POST", "/auth/v1/token/refresh", pair).status == 200
    request("POST", "/auth/v1/token/refresh", b"{}")
    after = scrape()
    series = ("registry_exchanges_total", "registry_refreshes_total")
    assert [after[name] - before[name] for name in series] == [1, 2]


def test_counts_refusals_by_reason():
    series = 'registry_refusals_total{reason="InvalidCredential"}'
    before = scrape().get(series, 0)
    request("POST", "/auth/v1/key", b'{"key": "unknown"}')
    assert scrape()[series] == before + 1


def test_counts_changes_once_they_are_committed(django_capture_on_commit_callbacks, actor):
    series = 'registry_actions_total{action="tokens:named_token:mint"}'
    before = scrape().get(series, 0)
    with django_capture_on_commit_callbacks() as callbacks:
        services.mint("counted", actor=actor)
    assert scrape().get(series, 0) == before
    for callback in callbacks:
        callback()
    assert scrape()[series] == before + 1


def test_counts_what_is_usable_by_kind():
    NamedTokenFactory()
    NamedTokenFactory(is_active=False)
    ApiKeyFactory.create_batch(2)
    found = scrape()
    assert found['registry_usable_credentials{kind="named_token"}'] == 1
    assert found['registry_usable_credentials{kind="api_key"}'] == 2
    assert found["registry_database_up"] == 1


def test_answers_without_its_database(monkeypatch):
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
    found = scrape()
    assert found["registry_database_up"] == 0
    assert not any(name.startswith("registry_usable") for name in found)


def test_tells_when_the_revocations_were_read(snapshot):
    snapshot.renew()
    assert scrape()["registry_snapshot_read_timestamp_seconds"] == snapshot.known_until + COMMIT_SECONDS


def test_takes_samples_of_the_pool(monkeypatch):
    class Pool:
        def get_stats(self):
            return {"pool_size": 5, "pool_available": 2, "requests_waiting": 3}

    monkeypatch.setattr(metrics, "connection", type("Connection", (), {"pool": Pool()}))
    metrics.sample()
    found = scrape()
    assert found['registry_pool_connections{state="idle"}'] == 2
    assert found['registry_pool_connections{state="used"}'] == 3
    assert found["registry_pool_waiting"] == 3


@pytest.mark.parametrize(
    ("allowed", "proxies", "environ", "status"),
    [
        (["127.0.0.1"], [], {}, 200),
        (["::1"], [], {"REMOTE_ADDR": "::1"}, 200),
        (["10.0.0.0/8"], [], {"REMOTE_ADDR": "10.1.2.3"}, 200),
        ([], [], {}, 404),
        (["127.0.0.1"], [], {"REMOTE_ADDR": "192.0.2.7"}, 404),
        (["127.0.0.1"], [], {"REMOTE_ADDR": ""}, 404),
        (["127.0.0.1"], [], {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}, 404),
        (["127.0.0.1"], [], {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 404),
        (["127.0.0.1"], ["127.0.0.1"], {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}, 404),
        (["192.0.2.7"], ["127.0.0.1"], {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}, 200),
        (["127.0.0.1"], [], {"HTTP_FORWARDED": "for=192.0.2.7"}, 404),
    ],
)
def test_shows_metrics_to_allowed_addresses_alone(settings, allowed, proxies, environ, status):
    settings.METRICS_ALLOWED_NETWORKS, settings.TRUSTED_PROXIES = allowed, proxies
    assert request("GET", "/metrics", HTTP_ACCEPT="application/json", **environ).status == status


def test_answers_503_in_the_admin_while_the_database_is_away(monkeypatch):
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
    answer = request("GET", "/admin/", HTTP_COOKIE=f"sessionid={32 * 'x'}")
    assert answer.status == 503
    assert answer.header("Retry-After") == ["2"]
