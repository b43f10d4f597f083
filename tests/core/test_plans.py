"""No route reads a whole table: every query of an API request finds its rows by an index, as the database says."""

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

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
from tokens.core.audit import Actor
from tokens.core.operations import notices

pytestmark = pytest.mark.django_db

EXPLAINED = ("SELECT", "(SELECT", "UPDATE", "DELETE")


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
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            return [row[3] for row in cursor.fetchall() if row[3].startswith("SCAN ") and "_" in row[3].split()[1]]
        # A small table is read as a whole for good reasons; this leaves it to be the last resort.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}")
        return [row[0] for row in cursor.fetchall() if "Seq Scan" in row[0]]


@pytest.mark.parametrize("route", ROUTES)
def test_finds_its_rows_by_an_index(api, route):
    method, path, options = ROUTES[route]()
    with CaptureQueriesContext(connection) as captured:
        response = api.call(method, path, options.pop("body", None), **options)
    assert response.status_code in {200, 201}
    statements = [query["sql"] for query in captured if query["sql"].startswith(EXPLAINED)]
    assert {sql: found for sql in statements if (found := scans(sql))} == {}


def test_finds_what_to_purge_by_an_index(actor: Actor):
    token = PerformanceTokenFactory()
    with CaptureQueriesContext(connection) as captured:
        podcast_services.sweep(now=token.expires_at.replace(year=token.expires_at.year + 1))
    statements = [query["sql"] for query in captured if query["sql"].startswith(EXPLAINED)]
    assert statements
    assert {sql: found for sql in statements if (found := scans(sql))} == {}


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
