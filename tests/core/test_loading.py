"""Times as they come from the database: the moments that were stored, in UTC, whatever reads them."""

from datetime import UTC, datetime

import psycopg
import pytest
from django.db import connection

from tests.factories import NamedTokenFactory
from tokens.models import NamedToken

pytestmark = pytest.mark.django_db

TIMES = [
    datetime(2026, 12, 1, 12, 30, 59, 123456, tzinfo=UTC),
    datetime(2026, 12, 1, tzinfo=UTC),
    datetime(1, 1, 2, 3, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
]


@pytest.fixture
def postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no sessions with a time zone.")


@pytest.mark.parametrize("moment", TIMES, ids=str)
@pytest.mark.parametrize(
    "read", [list, lambda rows: list(rows.iterator())], ids=["at once", "by a cursor of the server"]
)
def test_reads_the_moment_that_was_stored(moment, read):
    NamedTokenFactory(expires_at=moment, starts_at=None)
    [found] = read(NamedToken.objects.all())
    assert (found.expires_at, found.expires_at.tzinfo, found.starts_at) == (moment, UTC, None)


def test_reads_the_same_moment_in_a_session_of_another_zone(postgresql):
    NamedTokenFactory(expires_at=TIMES[0])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'")
    assert NamedToken.objects.get().expires_at == TIMES[0]


def test_reads_times_with_the_loader_of_psycopg(postgresql):
    oid = psycopg.adapters.types["timestamptz"].oid
    own, plain = (
        adapters.get_loader(oid, psycopg.pq.Format.TEXT)(oid)
        for adapters in (connection.connection.adapters, psycopg.adapters)
    )
    assert type(own) is type(plain)
