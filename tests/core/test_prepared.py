"""Statements that the ORM writes once: the same answer as its own, whatever they are run with."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F, UUIDField
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from edi_auth.models import ApiKey
from tests.factories import ApiKeyFactory, NamedTokenFactory, secret_of
from tests.settings import IS_SQLITE
from tokens.core.models import digest
from tokens.core.prepared import FINGERPRINT, NOW, Prepared, PreparedUpdate, Slot, insert
from tokens.models import AuditEvent, NamedToken
from tokens.services import Action

pytestmark = pytest.mark.django_db

USABLE = Prepared(lambda: NamedToken.objects.filter(NamedToken.presented(FINGERPRINT, now=NOW)).usable(now=NOW))


def test_finds_the_row_as_the_orm_does():
    stored = NamedTokenFactory(allowed_networks=["192.0.2.0/24"], expires_at=timezone.now() + timedelta(days=1))
    found = USABLE.first(fingerprint=str(stored.subject), now=timezone.now())
    orm = NamedToken.objects.get(pk=stored.pk)
    assert {f.attname: getattr(found, f.attname) for f in NamedToken._meta.concrete_fields} == {
        f.attname: getattr(orm, f.attname) for f in NamedToken._meta.concrete_fields
    }


def test_finds_another_row_for_another_value():
    first, second = NamedTokenFactory(), NamedTokenFactory()
    now = timezone.now()
    assert [USABLE.first(fingerprint=str(token.subject), now=now) for token in (first, second)] == [first, second]


def test_finds_nothing_for_an_unknown_value():
    NamedTokenFactory()
    assert USABLE.first(fingerprint=str(uuid.uuid4()), now=timezone.now()) is None


def test_asks_the_clock_that_it_is_given():
    end = timezone.now() + timedelta(hours=1)
    token = NamedTokenFactory(expires_at=end)
    assert USABLE.first(fingerprint=str(token.subject), now=end - timedelta(seconds=1)) == token
    assert USABLE.first(fingerprint=str(token.subject), now=end) is None


def test_saves_what_it_found():
    token = NamedTokenFactory()
    found = USABLE.first(fingerprint=str(token.subject), now=timezone.now())
    found.is_active = False
    found.save()
    assert not NamedToken.objects.get(pk=token.pk).is_active


def test_gives_the_columns_that_are_named():
    token = NamedTokenFactory()
    names = Prepared(lambda: NamedToken.objects.filter(subject=Slot("of", UUIDField())).values_list("name", "subject"))
    assert names.rows(of=token.subject) == [(token.name, token.subject)]


def test_takes_a_value_for_no_more_than_a_value():
    NamedTokenFactory(name="x")
    by_name = Prepared(lambda: NamedToken.objects.filter(name=Slot("name", NamedToken._meta.get_field("name"))))
    assert by_name.first(name="x' OR '1'='1") is None
    assert by_name.first(name="%s") is None


def test_updates_one_row_and_returns_it():
    keys = [ApiKeyFactory(use_count=4), ApiKeyFactory(use_count=7)]
    count = PreparedUpdate(
        lambda: (
            ApiKey.objects.filter(ApiKey.presented(FINGERPRINT, now=NOW)).usable(now=NOW),
            ("id", "use_count"),
            {"use_count": F("use_count") + 1, "last_used_at": NOW},
        )
    )
    now = timezone.now()
    for key in keys:
        with CaptureQueriesContext(connection) as captured:
            rows = count.rows(fingerprint=digest(secret_of(key)), now=now)
        assert (rows, len(captured)) == ([(key.pk, key.use_count + 1)], 1)
    assert set(ApiKey.objects.values_list("use_count", "last_used_at")) == {(5, now), (8, now)}
    assert count.rows(fingerprint="0" * 64, now=now) == []


def counting(*fields):
    """A statement that counts a use of every usable key, and returns `fields` of each."""
    return PreparedUpdate(lambda: (ApiKey.objects.usable(now=NOW), fields, {"use_count": F("use_count") + 1}))


def test_updates_and_returns_in_one_statement(django_assert_num_queries):
    key = ApiKeyFactory(use_count=4)
    with django_assert_num_queries(1):
        found = counting("owner", "use_count").rows(now=timezone.now())
    assert found == [(key.owner_id, 5)]


def test_returns_nothing_where_it_updated_nothing():
    ApiKeyFactory(is_active=False, use_count=4)
    assert counting("owner").rows(now=timezone.now()) == []
    assert ApiKey.objects.get().use_count == 4


def test_returns_every_row_that_it_updated():
    keys = [ApiKeyFactory() for _ in range(3)]
    found = counting("id").rows(now=timezone.now())
    assert sorted(found) == sorted((key.pk,) for key in keys)


def counting_and_reading(*fields):
    """Like `counting`, and it reads the names and the networks of all keys of the profile in the last of the fields."""
    return PreparedUpdate(
        lambda: (ApiKey.objects.usable(now=NOW), fields, {"use_count": F("use_count") + 1}),
        reading=lambda owner: ApiKey.objects.filter(owner=owner).values_list("name", "allowed_networks"),
    )


def test_reads_what_belongs_to_every_row_that_it_updated():
    first, other = ApiKeyFactory(allowed_networks=["192.0.2.0/24"]), ApiKeyFactory()
    second = ApiKeyFactory(owner=first.owner, is_active=False)
    found = counting_and_reading("use_count", "owner").rows(now=timezone.now())
    assert sorted(found) == sorted(
        [
            (1, first.owner_id, first.name, ["192.0.2.0/24"]),
            (1, first.owner_id, second.name, []),
            (1, other.owner_id, other.name, []),
        ]
    )


def test_reads_nothing_where_it_updated_nothing():
    ApiKeyFactory(is_active=False)
    assert counting_and_reading("owner").rows(now=timezone.now()) == []


def test_updates_and_reads_in_one_statement_where_that_is_possible(django_assert_num_queries):
    ApiKeyFactory()
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 2):
        counting_and_reading("owner").rows(now=timezone.now())


@pytest.mark.skipif(IS_SQLITE, reason="Its setting.")
@pytest.mark.parametrize("is_durable", [True, False])
@pytest.mark.parametrize("reading", [None, lambda pk: ApiKey.objects.filter(pk=pk).values_list("name")])
def test_waits_for_the_disk_unless_it_only_counts(is_durable, reading):
    """The setting of its own transaction, which begins with `on`."""
    ApiKeyFactory()
    updates = {"use_count": F("use_count") + 1}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        statement = PreparedUpdate(
            lambda: (ApiKey.objects.usable(now=NOW), ("id",), updates), is_durable=is_durable, reading=reading
        )
        assert statement.rows(now=timezone.now())
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on" if is_durable else "off",)


def stored(row):
    """The columns of `row` as the database has them, but for its id."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {row._meta.db_table} WHERE id = %s", [row.pk])  # noqa: S608 — a table of ours
        names = [column[0] for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True)) | {"id": None}


@pytest.mark.parametrize("address", [None, "192.0.2.1", "2001:db8::1"])
@pytest.mark.parametrize("before", [{}, {"name": "é", "expires_at": None}, "a text"])
def test_stores_an_event_as_the_orm_does(address, before):
    now = timezone.now()
    first, second = (
        AuditEvent(at=now, action=Action.MINT, object_label="'é' %s", address=address, before=before, after={})
        for _ in range(2)
    )
    insert(first)
    second.save(force_insert=True)
    assert stored(first) == stored(second)


def test_stores_a_row_that_the_orm_finds():
    now, subject = timezone.now(), uuid.uuid4()
    networks = ["192.0.2.0/24"]
    row = NamedToken(name="ci", subject=str(subject), can_write=False, allowed_networks=networks, updated_at=now)
    insert(row)
    found = NamedToken.objects.get(subject=subject)
    assert (found.pk, found.name, found.can_write, found.is_active) == (row.pk, "ci", False, True)
    assert (found.allowed_networks, found.updated_at, found.expires_at) == (networks, now, None)
