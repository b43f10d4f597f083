"""GET /token (the document "Using the `/token` Endpoint"; the contract, "`GET /token`")."""

import logging
import random
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError, connection

from podcast_perf.models import PerformanceToken
from tests.conftest import VECTORS
from tests.factories import PublisherFactory, secret_of, value_of
from tests.tokens.tools import decode_jws, everything_stored
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

NOW = datetime(2027, 1, 15, 12, 0, 0, 123456, tzinfo=UTC)
EXAMPLE = VECTORS["podcast"]
INVALID = "Invalid public key"


@pytest.fixture
def get(api, settings):
    """A request with the key of the settings, unless it is given another."""

    def get(query="", *, key=settings.PERFORMANCE_PUBLIC_KEY, method="GET"):
        return api.call(method, f"/token{query}", headers={} if key is None else {"X-PUB-KEY": key})

    return get


@pytest.fixture
def claims(settings):
    """The claims of an answer, once its signature is checked."""

    def claims(response):
        assert response.status_code == 200, response.content
        return decode_jws(response.json()["token"], secret=settings.PERFORMANCE_SECRET_KEY)[1]

    return claims


def assert_is_refused(response):
    assert response.status_code == 400
    assert response.json() == {"error": INVALID, "detail": "The key is absent, empty or unknown."}
    assert not PerformanceToken.objects.exists()


def assert_failed(response):
    assert response.status_code == 500
    assert response.headers["Retry-After"] == "2"
    assert response.json() == {"error": "Error generating token"}
    assert not PerformanceToken.objects.exists()
    assert not AuditEvent.objects.exists()


def failing(table, error=DatabaseError):
    """While it lasts, statements that write to `table` fail with `error`."""

    def execute(execute, sql, params, many, context):
        if f'INSERT INTO "{table}"' in sql:
            raise error("server closed the connection to db.internal unexpectedly")
        return execute(sql, params, many, context)

    return connection.execute_wrapper(execute)


def test_answers_with_the_token_and_nothing_else(get):
    response = get()
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert list(response.json()) == ["token"]


def test_makes_the_example_of_the_document_but_for_the_secret(get, settings, monkeypatch, time_machine):
    serial = EXAMPLE["payload"]["s"]
    moment, random_part = serial.split("-")
    time_machine.move_to(datetime.fromtimestamp(int(moment, 36) / 1000, tz=UTC), tick=False)
    monkeypatch.setattr("secrets.token_hex", lambda size: random_part if size == 8 else "0" * 2 * size)
    value = get().json()["token"]
    assert value.rpartition(".")[0] == EXAMPLE["token"].rpartition(".")[0]
    header, payload = decode_jws(value, secret=settings.PERFORMANCE_SECRET_KEY)
    assert (header, payload) == (EXAMPLE["header"], EXAMPLE["payload"])


def test_writes_header_and_payload_in_the_documented_order(get, settings):
    header, payload = decode_jws(get().json()["token"], secret=settings.PERFORMANCE_SECRET_KEY)
    assert list(header.items()) == [("alg", "HS256"), ("typ", "JWT")]
    assert list(payload) == ["s", "d", "a", "iat", "exp"]
    assert payload["a"] is True


def test_signs_with_the_first_of_its_secrets(get, settings):
    old = settings.PERFORMANCE_SECRET_KEY
    settings.PERFORMANCE_SECRET_KEY = "a-newer-performance-secret-of-32-bytes-or-more"
    settings.PERFORMANCE_SECRET_KEY_FALLBACKS = (old,)
    header, _ = decode_jws(get().json()["token"], secret=settings.PERFORMANCE_SECRET_KEY)
    assert header == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize("moment", [NOW, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)])
def test_names_the_token_by_its_millisecond_in_base_36_and_16_hex_digits(get, claims, time_machine, moment):
    time_machine.move_to(moment, tick=False)
    serial = claims(get())["s"]
    assert re.fullmatch(r"[1-9a-z][0-9a-z]*-[0-9a-f]{16}", serial)
    assert int(serial.split("-")[0], 36) == int(moment.timestamp() * 1000)


def test_never_names_two_tokens_alike(get, claims, time_machine):
    time_machine.move_to(NOW, tick=False)
    assert len({claims(get())["s"] for _ in range(50)}) == 50


def test_draws_the_name_from_the_random_source_of_the_system(get, claims, time_machine):
    time_machine.move_to(NOW, tick=False)
    serials = set()
    for _ in range(2):
        random.seed(7)
        serials.add(claims(get())["s"])
    assert len(serials) == 2


@pytest.mark.parametrize(
    ("hours", "seconds"),
    [("1", 3600), ("0.5", 1800), ("0.25", 900), ("1.5", 5400), ("24", 86400), ("007", 25200), ("8784", 8784 * 3600)],
)
def test_lasts_as_long_as_the_settings_say(get, claims, settings, time_machine, hours, seconds):
    time_machine.move_to(NOW, tick=False)
    settings.EXPIRES_IN = hours
    payload = claims(get())
    assert payload["d"] == hours
    assert payload["iat"] == int(NOW.timestamp())
    assert payload["exp"] == payload["iat"] + seconds


def test_lasts_an_hour_by_default(get, claims):
    payload = claims(get())
    assert payload["d"] == "1"
    assert payload["exp"] - payload["iat"] == 3600


@pytest.mark.parametrize(
    "query",
    ["2", "2h", "24", "0", "-1", "0.1", "", "never", "99999999999", "%00", "1&expiresIn=2"],
)
@pytest.mark.parametrize("are_listeners_served", [False, True])
def test_lets_no_query_override_the_expiry(get, claims, settings, query, are_listeners_served):
    settings.PERFORMANCE_LISTENER_TOKENS = are_listeners_served
    payload = claims(get(f"?expiresIn={query}"))
    assert (payload["d"], payload["a"], payload["exp"] - payload["iat"]) == ("1", True, 3600)


@pytest.mark.parametrize("header", ["X-PUB-KEY", "x-pub-key", "X-Pub-Key"])
def test_takes_the_header_in_any_case(api, settings, header):
    assert api.call("GET", "/token", headers={header: settings.PERFORMANCE_PUBLIC_KEY}).status_code == 200


def test_takes_the_key_of_a_publisher(get, claims):
    assert claims(get(key=secret_of(PublisherFactory())))["a"] is True


def test_remembers_the_publisher_that_fetched_the_token(get):
    PublisherFactory()
    publisher = PublisherFactory()
    get(key=secret_of(publisher))
    assert PerformanceToken.objects.get().publisher == publisher


def test_remembers_no_publisher_for_the_key_of_the_settings(get):
    PublisherFactory()
    get()
    assert PerformanceToken.objects.get().publisher is None


@pytest.mark.parametrize("key", [None, "", " ", "unknown", "the-public-key", "THE-PUBLIC-KEY-OF-THE-SETTINGS"])
def test_refuses_a_key_that_is_absent_empty_or_unknown(get, key):
    PublisherFactory()
    assert_is_refused(get(key=key))


@pytest.mark.parametrize("template", ["{}x", "x{}", "{0},{0}", "{0} {0}", "{}\0", '"{}"', "Bearer {}", "{}%00"])
def test_refuses_more_than_the_key(get, settings, template):
    publisher = PublisherFactory()
    assert_is_refused(get(key=template.format(settings.PERFORMANCE_PUBLIC_KEY)))
    assert_is_refused(get(key=template.format(secret_of(publisher))))


@pytest.mark.parametrize("column", ["key_hash", "preview", "name"])
def test_refuses_what_the_database_shows_of_a_key(get, column):
    assert_is_refused(get(key=getattr(PublisherFactory(), column)))


@pytest.mark.parametrize(
    "fields",
    [
        {"is_active": False},
        {"expires_at": NOW},
        {"expires_at": NOW - timedelta(days=1)},
        {"starts_at": NOW + timedelta(microseconds=1)},
        {"revoked_at": NOW},
    ],
    ids=["switched off", "expired just now", "expired", "not yet started", "revoked"],
)
def test_refuses_an_unusable_publisher_as_if_it_were_unknown(get, time_machine, fields):
    time_machine.move_to(NOW, tick=False)
    publisher = PublisherFactory(**fields)
    assert_is_refused(get(key=secret_of(publisher)))
    assert get(key=secret_of(publisher)).content == get(key="unknown").content


@pytest.mark.parametrize("fields", [{"expires_at": NOW + timedelta(microseconds=1)}, {"starts_at": NOW}])
def test_takes_a_publisher_until_it_ends_and_from_its_start(get, time_machine, fields):
    time_machine.move_to(NOW, tick=False)
    assert get(key=secret_of(PublisherFactory(**fields))).status_code == 200


@pytest.mark.parametrize("key", [None, "", " "])
def test_takes_no_empty_key_where_the_settings_have_none(get, settings, key):
    settings.PERFORMANCE_PUBLIC_KEY = ""
    assert_is_refused(get(key=key))


@pytest.mark.parametrize("parameter", ["X-PUB-KEY", "x-pub-key", "key", "publicKey"])
def test_takes_no_key_in_the_url(get, settings, parameter):
    assert_is_refused(get(f"?{parameter}={settings.PERFORMANCE_PUBLIC_KEY}", key=None))


def test_lets_a_comparison_in_constant_time_have_the_last_word(get, monkeypatch):
    publisher = PublisherFactory()
    monkeypatch.setattr("secrets.compare_digest", lambda first, second: False)
    assert_is_refused(get())
    assert_is_refused(get(key=secret_of(publisher)))


@pytest.mark.parametrize("key", [None, "", "unknown", "the-public-key-of-the-settings"])
@pytest.mark.parametrize("are_listeners_served", [False, True])
def test_asks_for_the_secret_before_the_key(get, settings, key, are_listeners_served):
    settings.PERFORMANCE_SECRET_KEY = ""
    settings.PERFORMANCE_LISTENER_TOKENS = are_listeners_served
    response = get("?expiresIn=nonsense", key=key)
    assert response.status_code == 500
    assert response.json() == {"error": "Secret key not configured"}
    assert response.headers["Cache-Control"] == "no-store"
    assert not PerformanceToken.objects.exists()


def test_asks_for_the_key_before_it_stores(get):
    with failing(PerformanceToken._meta.db_table):
        assert_is_refused(get(key="unknown"))


def test_stores_the_claims_that_it_signed(get, claims):
    response = get()
    token = PerformanceToken.objects.get()
    assert token.claims() == claims(response)
    assert value_of(token) == response.json()["token"]
    assert (token.serial, token.duration, token.is_admin) == (claims(response)["s"], "1", True)
    assert token.is_usable()


def test_stores_each_token_that_it_gives(get, claims):
    serials = [claims(get())["s"] for _ in range(3)]
    assert sorted(PerformanceToken.objects.values_list("serial", flat=True)) == sorted(serials)


def test_stores_the_signed_text_nowhere(get, settings):
    publisher = PublisherFactory()
    values = [get().json()["token"], get(key=secret_of(publisher)).json()["token"]]
    stored = everything_stored()
    assert PerformanceToken.objects.latest("id").serial in stored
    for secret in (
        *(part for value in values for part in value.split(".")),
        secret_of(publisher),
        settings.PERFORMANCE_PUBLIC_KEY,
        settings.PERFORMANCE_SECRET_KEY,
    ):
        assert secret not in stored


def test_logs_neither_token_nor_key(get, settings, caplog):
    caplog.set_level(logging.DEBUG)
    value = get().json()["token"]
    get(key="an-unknown-key-that-is-somebody's")
    with failing(PerformanceToken._meta.db_table):
        get()
    assert "storing a performance token failed" in caplog.text
    for secret in (value.rpartition(".")[2], settings.PERFORMANCE_PUBLIC_KEY, "an-unknown-key-that-is-somebody's"):
        assert secret not in caplog.text


@pytest.mark.parametrize("key", ["of the settings", "of a publisher"])
def test_records_who_fetched_it(get, key):
    publisher = PublisherFactory()
    get(**({"key": secret_of(publisher)} if key == "of a publisher" else {}))
    event = AuditEvent.objects.get()
    token = PerformanceToken.objects.get()
    assert event.action == "podcast_perf:performance_token:mint"
    assert (event.object_id, event.object_label) == (str(token.pk), token.serial)
    assert (event.actor_kind, event.channel, event.address) == ("publisher", "api", "127.0.0.1")
    assert (event.actor_id, event.actor_label) == (
        (str(publisher.pk), publisher.name) if key == "of a publisher" else ("", "PERFORMANCE_PUBLIC_KEY")
    )


@pytest.mark.parametrize("error", [DatabaseError, OperationalError, IntegrityError, DataError, InterfaceError])
@pytest.mark.parametrize("model", [PerformanceToken, AuditEvent])
def test_gives_no_token_that_it_could_not_store(api, get, error, model):
    api.raise_request_exception = False
    with failing(model._meta.db_table, error):
        assert_failed(get())


def test_gives_no_token_whose_name_is_taken(get, monkeypatch, time_machine):
    time_machine.move_to(NOW, tick=False)
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)
    assert get().status_code == 200
    response = get()
    assert response.status_code == 500
    assert response.json() == {"error": "Error generating token"}
    assert PerformanceToken.objects.count() == AuditEvent.objects.count() == 1


@contextmanager
def failing_commits():
    """While it lasts, whatever stores a token fails as late as it can: when it is committed."""
    if connection.vendor != "postgresql":
        with patch(
            "django.db.backends.base.base.BaseDatabaseWrapper._commit", side_effect=OperationalError("disk full")
        ):
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$"
        )
        cursor.execute(
            f"CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON {PerformanceToken._meta.db_table} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION fail() CASCADE")


@pytest.mark.django_db(transaction=True)
def test_gives_no_token_that_it_could_not_commit(get):
    with failing_commits():
        response = get()
    assert response.status_code == 500
    assert response.json() == {"error": "Error generating token"}
    assert not PerformanceToken.objects.exists()
