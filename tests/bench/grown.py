"""Grows a registry inside its database: `python -m tests.bench.grown FOLDER ROWS [OLD]`, in its environment.

Performance tokens are spread over the last month as a steady stream of mints leaves them, each with the audit event of
its minting. Besides, `OLD` of them, the same number in every registry, expired long ago, so that every one sweeps. To
`folder` goes, as JSON, what `tests.bench.growth` presents: tokens and keys of every kind, each for one request.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import django

django.setup()

from django.db import connection  # noqa: E402 — after the set-up
from django.utils import timezone  # noqa: E402 — after the set-up

from edi_auth import services as edi_services  # noqa: E402 — after the set-up
from edi_auth.models import ApiKey, Idp, Profile, edi_id_of  # noqa: E402 — after the set-up
from podcast_perf import services as podcast_services  # noqa: E402 — after the set-up
from podcast_perf.models import PerformanceToken, Publisher  # noqa: E402 — after the set-up
from tokens.core.audit import SYSTEM  # noqa: E402 — after the set-up
from tokens.core.models import AuditEvent, digest, preview_of  # noqa: E402 — after the set-up

TOKENS, EVENTS = PerformanceToken._meta.db_table, AuditEvent._meta.db_table
PROFILES, KEYS = 6_000, 3_000
OLD = 5_000

NUMBERS = {
    "postgresql": "SELECT n, now() - {age} AS at "
    "FROM (SELECT n, {days} AS days FROM generate_series(1, {rows}) n) AS made",
    "sqlite": "WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < {rows}) "
    "SELECT n, {age} AS at FROM (SELECT n, {days} AS days FROM k)",
}
# How long ago the n-th token was made, in days: 40 for the first few, and 29 to 0 for all others.
DAYS = "CASE WHEN n <= {old} THEN 40 + 1.0 * ({old} - n) / {rows} ELSE 29.0 * ({rows} - n) / ({rows} - {old}) END"
AGE = {
    "postgresql": "days * interval '1 day'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || (days * 86400) || ' seconds')",
}
LATER = {
    "postgresql": "at + interval '1 day'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', at, '+1 day')",
}
# The moment, which sorts as base 36 does, and a random rest of the right length.
SERIAL = {
    "postgresql": "to_hex((extract(epoch FROM at) * 1000)::bigint) || '-' || substr(md5(random()::text), 1, 16)",
    "sqlite": "printf('%x', strftime('%s', at) * 1000) || '-' || lower(hex(randomblob(8)))",
}
RANDOM = {"postgresql": "md5(random()::text)", "sqlite": "lower(hex(randomblob(16)))"}


def grow(rows: int, *, old: int) -> None:
    """Make `rows` performance tokens, the first `old` of them expired long ago, and their events."""
    vendor = connection.vendor
    days = DAYS.format(rows=rows, old=old)
    numbers = NUMBERS[vendor].format(rows=rows, age=AGE[vendor], days=days)
    tokens = f"""
        INSERT INTO {TOKENS} (serial, duration, is_admin, is_active, created_at, expires_at)
        SELECT {SERIAL[vendor]}, '24', true, true, at, {LATER[vendor]} FROM ({numbers}) AS numbered
    """  # noqa: S608 — our own names
    after = '{"serial": "19c5f3a2b10-a1fb7db8c10cef8f", "is_admin": true, "is_active": true, "starts_at": null, '
    after += '"expires_at": "2026-11-22T02:13:32.123456+00:00", "revoked_at": null}'
    events = f"""
        INSERT INTO {EVENTS} (at, action, kind, object_id, object_label, actor_kind, actor_id, actor_label, channel,
                              address, request_id, reason, before, after)
        SELECT created_at, 'podcast_perf:performance_token:mint', 'performance_token', CAST(id AS varchar(20)), serial,
               'publisher', '1', 'feeds', 'api', '192.0.2.1', {RANDOM[vendor]}, '', '{{}}', '{after}'
        FROM {TOKENS} WHERE id > {old} ORDER BY id
    """  # noqa: S608 — our own names
    with connection.cursor() as cursor, without_indexes(TOKENS, EVENTS):
        cursor.execute(tokens)
        cursor.execute(events)
    with connection.cursor() as cursor:
        if vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")


@contextmanager
def without_indexes(*tables: str) -> Iterator[None]:
    """On PostgreSQL, leave the plain indexes of `tables` until the end, which is much quicker with many rows."""
    if connection.vendor == "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '1GB'")
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND NOT EXISTS "
            "(SELECT FROM pg_constraint WHERE conname = indexname)",
            [list(tables)],
        )
        found = cursor.fetchall()
        for name, _ in found:
            cursor.execute(f'DROP INDEX "{name}"')
        yield
        for _, definition in found:
            cursor.execute(definition)


def seed(folder: Path) -> None:
    """Make what is presented, and write it to `folder`."""
    now = timezone.now()
    uids = [f"uid=person{number},o=EDI,dc=edirepository,dc=org" for number in range(PROFILES)]
    profiles = Profile.objects.bulk_create(
        Profile(idp=Idp.LDAP, idp_uid=uid, edi_id=edi_id_of(uid), common_name=f"Person {number}", email="p@example.org")
        for number, uid in enumerate(uids)
    )
    edi_services.update(profiles[0], actor=SYSTEM, is_administrator=True)
    edi_services.add_group("Everybody", actor=SYSTEM, members=profiles[:100])
    pairs = [edi_services.tokens_of(profile.pk, now=now) for profile in profiles]
    keys = [edi_services.fresh_key() for _ in range(KEYS)]
    ApiKey.objects.bulk_create(
        ApiKey(name=f"key {number}", key_hash=digest(key), preview=preview_of(key), owner=profiles[number])
        for number, key in enumerate(keys)
    )
    publisher_key = podcast_services.fresh_key()
    Publisher.objects.create(name="feeds", key_hash=digest(publisher_key), preview=preview_of(publisher_key))
    live = PerformanceToken.objects.usable(now=now + timedelta(hours=1)).order_by("?")[:400]
    presented = {
        "edi_ids": [profile.edi_id for profile in profiles],
        "pairs": [[pair.pasta, pair.edi] for pair in pairs],
        "keys": keys,
        "publisher": publisher_key,
        "performance": [podcast_services.ring().sign(token.claims()) for token in live],
    }
    (folder / "presented").write_text(json.dumps(presented))


if __name__ == "__main__":
    grow(int(sys.argv[2]), old=int(sys.argv[3]) if len(sys.argv) > 3 else OLD)
    seed(Path(sys.argv[1]))
