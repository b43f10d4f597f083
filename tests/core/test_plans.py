"""No route reads a whole table: every query of an API request finds its rows by an index, as the database says."""

import re
from contextlib import suppress
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from edi_auth import services as edi_services
from podcast_perf import services as podcast_services
from tests.factories import (
    ApiKeyFactory,
    GroupFactory,
    NamedTokenFactory,
    PerformanceTokenFactory,
    PublisherFactory,
    secret_of,
    value_of,
)
from tokens import services as token_services
from tokens.core import audit
from tokens.core.admin.listing import FEW, MAX_LISTED
from tokens.core.audit import Actor
from tokens.core.errors import InvalidCredential
from tokens.core.operations import notices

pytestmark = pytest.mark.django_db

EXPLAINED = ("SELECT", "(SELECT", "UPDATE", "WITH updated", "DELETE")


def named_token():
    return {"bearer": value_of(NamedTokenFactory(name="example"))}


def api_key(**fields):
    key = ApiKeyFactory(**fields)
    GroupFactory().members.add(key.owner)
    return {"body": {"key": secret_of(key)}}


ROUTES = {
    "token": lambda: ("GET", "/token", {"headers": {"X-PUB-KEY": settings.PERFORMANCE_PUBLIC_KEY}}),
    "token of a publisher": lambda: ("GET", "/token", {"headers": {"X-PUB-KEY": secret_of(PublisherFactory())}}),
    "mint": lambda: ("POST", "/_/token", named_token() | {"body": {"name": "new"}}),
    "list": lambda: ("GET", "/_/token?limit=10", named_token()),
    "next page": lambda: ("GET", "/_/token?limit=10&after=example", named_token()),
    "update": lambda: ("PUT", "/_/token", named_token() | {"body": {"name": "example", "active": True}}),
    "delete": lambda: ("DELETE", "/_/token", named_token() | {"body": {"name": NamedTokenFactory().name}}),
    "value": lambda: ("GET", "/_/token/value?name=example", named_token()),
    "introspect a named token": lambda: ("POST", "/introspect", asked(value_of(NamedTokenFactory()))),
    "introspect a performance token": lambda: ("POST", "/introspect", asked(value_of(PerformanceTokenFactory()))),
    "introspect a key": lambda: ("POST", "/introspect", asked(secret_of(ApiKeyFactory()))),
    "exchange": lambda: ("POST", "/auth/v1/key", api_key()),
    "exchange of a group": lambda: ("POST", "/auth/v1/key", api_key(group=GroupFactory())),
    "exchange from a network": lambda: ("POST", "/auth/v1/key", api_key(allowed_networks=["127.0.0.0/8"])),
}


def asked(raw):
    return named_token() | {"body": {"token": raw}}


def scans(sql):
    """The steps of the plan of `sql` that read a whole table though an index were at hand."""
    if connection.vendor == "sqlite":
        return [step for step in plan(sql) if step.startswith("SCAN ") and "_" in step.split()[1]]
    return [step for step in plan(sql) if "Seq Scan" in step]


def plan(sql, *last_resorts):
    """The steps by which the database runs `sql`."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            return [row[3] for row in cursor.fetchall()]
        # A small table is read as a whole for good reasons; this leaves it to be the last resort.
        for way in ("seqscan", *last_resorts):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(f"EXPLAIN {sql}")
        return [row[0].strip() for row in cursor.fetchall()]


@pytest.mark.parametrize("route", ROUTES)
def test_finds_its_rows_by_an_index(api, route):
    method, path, options = ROUTES[route]()
    with CaptureQueriesContext(connection) as captured:
        response = api.call(method, path, options.pop("body", None), **options)
    assert response.status_code in {200, 201}
    statements = [query["sql"] for query in captured if query["sql"].startswith(EXPLAINED)]
    assert {sql: found for sql in statements if (found := scans(sql))} == {}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite plans for no particular value anyway.")
@pytest.mark.parametrize("route", ROUTES)
def test_finds_its_rows_by_an_index_whatever_the_values(api, route):
    """As PostgreSQL does once it has run a prepared statement a few times."""
    method, path, options = ROUTES[route]()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("SET LOCAL enable_seqscan = off")
        before = whole_reads()
        assert api.call(method, path, options.pop("body", None), **options).status_code in {200, 201}
        assert whole_reads() == before


def whole_reads():
    """By table, how often this transaction has read all of it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE seq_scan > 0")
        return dict(cursor.fetchall())


def test_finds_what_to_purge_by_an_index(actor: Actor):
    token = PerformanceTokenFactory()
    with CaptureQueriesContext(connection) as captured:
        podcast_services.sweep(now=token.expires_at.replace(year=token.expires_at.year + 1))
        token_services.purge_audit_log(actor=actor, older_than=timedelta(days=400), batch=10)
    statements = [query["sql"] for query in captured if query["sql"].startswith(EXPLAINED)]
    assert statements
    assert {sql: found for sql in statements if (found := scans(sql))} == {}


@pytest.mark.parametrize(
    "find",
    [lambda: edi_services.find_key("x"), lambda: podcast_services.find_publisher("x"), lambda: exchanged("x")],
    ids=["API key", "publisher", "exchange"],
)
def test_finds_what_belongs_to_a_secret_by_its_indexes(find):
    with CaptureQueriesContext(connection) as captured:
        assert find() is None
    statements = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    assert statements
    assert [found for sql in statements for found in scans(sql)] == []


def exchanged(secret):
    with suppress(InvalidCredential):
        edi_services.exchange(secret)


@pytest.mark.parametrize(
    "ask",
    [lambda: podcast_services.is_purge_overdue(now=timezone.now()), lambda: notices.failed(now=timezone.now())],
    ids=["purge", "notices"],
)
def test_asks_for_what_every_overview_shows_by_an_index(ask):
    with CaptureQueriesContext(connection) as captured:
        ask()
    (statement,) = [query["sql"] for query in captured if query["sql"].startswith(EXPLAINED)]
    assert scans(statement) == []


STATE = {"active": "expires_at", "inactive": "is_active", "expired": "expires_at", "revoked": "revoked_at"}
FILTERED = [
    *(
        (name, f"state={state}", f"{name.rpartition('_')[2]}_state", column)
        for name in ("tokens_namedtoken", "podcast_perf_publisher", "podcast_perf_performancetoken", "edi_auth_apikey")
        for state, column in STATE.items()
    ),
    ("podcast_perf_performancetoken", "state=pending", "performancetoken_starts", "starts_at"),
    ("edi_auth_apikey", "state=pending", "apikey_starts", "starts_at"),
    ("tokens_namedtoken", "state=active&expires=week", "namedtoken_state", "expires_at"),
    ("tokens_namedtoken", "expires=week", "expires_at", "expires_at"),
    ("tokens_namedtoken", "expires=past", "expires_at", "expires_at"),
    ("tokens_namedtoken", "state=expired&o=1", "namedtoken_state", "expires_at"),
    ("edi_auth_apikey", "state=locked", "owner_id", "owner_id"),
    ("edi_auth_apikey", "owner__id__exact=1", "owner_id", "owner_id"),
    ("edi_auth_apikey", "owner__id__exact=1&state=expired", "owner_id", "owner_id"),
    ("edi_auth_profile", "idp__exact=google", "profile_idp", "idp"),
    ("edi_auth_profile", "locked=yes", "locked_at", "locked_at"),
    ("edi_auth_apikey", "o=1", "apikey_by_name", ""),
    ("tokens_namedtoken", "o=1", "namedtoken_by_name", ""),
    ("tokens_auditevent", "", "auditevent_at", ""),
    ("tokens_auditevent", "since=week", "auditevent_at", "at"),
    ("tokens_auditevent", "action=tokens:named_token:mint", "auditevent_by_action", "action"),
    ("tokens_auditevent", "action=tokens:named_token:mint&since=month", "auditevent_by_action", "at"),
    ("tokens_auditevent", "channel=admin", "auditevent_by_channel", "channel"),
    ("tokens_auditevent", "about=operator:1@actor", "auditevent_by_actor", "actor_id"),
    ("tokens_auditevent", "about=named_token:1", "auditevent_object", "object_id"),
]
LIMITS = (f"LIMIT {MAX_LISTED}", f"LIMIT {MAX_LISTED - 1}")  # the second of two ranges, after one row
# A PostgreSQL chooses by its statistics what to do about these, and an empty table has none.
BY_STATISTICS = {"state=locked", "owner__id__exact=1&state=expired", "idp__exact=google", "about=named_token:1"}


@pytest.mark.parametrize(("name", "query", "index", "column"), FILTERED)
def test_finds_what_a_list_is_filtered_by_in_the_order_of_an_index(
    client, django_user_model, actor, name, query, index, column
):
    if connection.vendor == "postgresql" and query in BY_STATISTICS:
        pytest.skip("Depends on statistics.")
    for make in (NamedTokenFactory, ApiKeyFactory, PerformanceTokenFactory, PublisherFactory):
        make()
    # Too many of something else for an index that has these in between.
    audit.record_all(token_services.Action.UPDATE, NamedTokenFactory.build_batch(500), actor=actor)
    client.force_login(django_user_model.objects.create_superuser("jane"))
    with CaptureQueriesContext(connection) as captured:
        assert client.get(f"{reverse(f'admin:{name}_changelist')}?{query}").status_code == 200
    statements = [ran["sql"] for ran in captured if ran["sql"].endswith(LIMITS)]
    assert statements
    if connection.vendor == "postgresql":
        # Not what autovacuum has learned of the rows of other tests, which it keeps of a table without any.
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {name}")
    for sql in statements:
        steps = plan(sql, "sort", "bitmapscan")
        assert [step for step in steps if index in step], steps
        assert [step for step in steps if re.search(rf"(\(|AND |Index Cond: .*){column}", step)] or not column, steps
        if connection.vendor == "sqlite" and not query.startswith(("state=locked", "about=named")):
            assert "USE TEMP B-TREE FOR ORDER BY" not in steps


@pytest.mark.parametrize(
    "name",
    ["tokens_namedtoken", "podcast_perf_performancetoken", "edi_auth_apikey", "edi_auth_profile", "tokens_auditevent"],
)
def test_searches_by_indexes(client, django_user_model, name):
    client.force_login(django_user_model.objects.create_superuser("jane"))
    with CaptureQueriesContext(connection) as captured:
        assert client.get(f"{reverse(f'admin:{name}_changelist')}?q=wanted").status_code == 200
    statements = [ran["sql"] for ran in captured if ran["sql"].endswith(f"LIMIT {FEW}") and "wanted" in ran["sql"]]
    assert statements
    assert len(captured) < 10
    assert {sql: found for sql in statements if (found := scans(sql))} == {}
