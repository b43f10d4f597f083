"""How long the pages of the admin take with many rows: `python -m tests.bench.admin [--rows 1000000]`.

In a database of its own (`DATABASE_URL` of a PostgreSQL, or a file that is deleted afterwards) it makes the rows, then
opens each page three times and prints the queries and the best time of the server, rendering included.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def pages() -> dict[str, str]:
    """The pages, by what they are."""
    token, performance = "/admin/tokens/namedtoken/", "/admin/podcast_perf/performancetoken/"
    key, audit = "/admin/edi_auth/apikey/", "/admin/tokens/auditevent/"
    return {
        "overview": "/admin/",
        "named tokens": token,
        "named tokens, page 40": f"{token}?p=40",
        "named tokens, active": f"{token}?state=active",
        "named tokens, pending": f"{token}?state=pending",
        "named tokens, revoked": f"{token}?state=revoked",
        "named tokens, expired": f"{token}?state=expired",
        "named tokens, within 24 hours": f"{token}?expires=day",
        "named tokens, active, 7 days": f"{token}?state=active&expires=week",
        "named tokens, search": f"{token}?q=deploy-0999",
        "named tokens, by name": f"{token}?o=1",
        "named token": f"{token}500000/change/",
        "performance tokens": performance,
        "performance tokens, active": f"{performance}?state=active",
        "performance tokens, search": f"{performance}?q=m",
        "publishers": "/admin/podcast_perf/publisher/",
        "API keys": key,
        "API keys, locked": f"{key}?state=locked",
        "API keys, of an owner": f"{key}?owner__id__exact=77",
        "API keys, search by e-mail": f"{key}?q=ada1000",
        "profiles": "/admin/edi_auth/profile/",
        "profiles, search": "/admin/edi_auth/profile/?q=Ada",
        "audit log": audit,
        "audit log, revocations": f"{audit}?action=tokens:named_token:revoke",
        "audit log, one object": f"{audit}?about=named_token:500000",
        "audit log, search": f"{audit}?q=deploy-0999",
    }


def grow(connection: Any, rows: int) -> None:
    """Multiply demo rows inside the database, which is ten times as quick as sending each."""
    from django.apps import apps  # noqa: PLC0415 — the settings come first

    is_sqlite = connection.vendor == "sqlite"
    random_hex = "lower(hex(randomblob(16)))" if is_sqlite else "replace(gen_random_uuid()::text, '-', '')"
    subject = random_hex if is_sqlite else "gen_random_uuid()"
    series = "WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < {times}) "
    fresh = {"key_hash": random_hex, "subject": subject, "name": "name || '-' || n", "serial": "serial || n"}
    fresh |= {"edi_id": f"'EDI-' || {random_hex} || '00000000'", "idp_uid": "idp_uid || n"}
    for label, share in (
        *(("tokens.NamedToken", 1), ("tokens.AuditEvent", 1), ("podcast_perf.PerformanceToken", 1)),
        *(("edi_auth.Profile", 10), ("edi_auth.ApiKey", 1)),
    ):
        model = apps.get_model(label)
        count = model._default_manager.count()
        columns = [field.column for field in model._meta.concrete_fields if not field.primary_key]
        values = ", ".join(fresh.get(column, f'"{column}"') for column in columns)
        names = ", ".join(f'"{column}"' for column in columns)
        table = model._meta.db_table
        with connection.cursor() as cursor:
            times = max(rows // share // count - 1, 1)
            made = f"SELECT {values} FROM k CROSS JOIN (SELECT * FROM {table}) AS made"  # noqa: S608 — our own names
            cursor.execute(f"INSERT INTO {table} ({names}) {series.format(times=times)}{made}")


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    folder = tempfile.TemporaryDirectory(prefix="registry-bench-")
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder.name}/registry.sqlite3")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

    import django  # noqa: PLC0415 — the settings come first

    django.setup()
    from django.contrib.auth.models import User  # noqa: PLC0415 — not before
    from django.core.management import call_command  # noqa: PLC0415 — not before
    from django.db import connection  # noqa: PLC0415 — not before
    from django.test import Client  # noqa: PLC0415 — not before
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415 — not before
    from django.utils import timezone  # noqa: PLC0415 — not before

    from tokens.core import kinds  # noqa: PLC0415 — not before
    from tokens.core.operations import counters  # noqa: PLC0415 — not before
    from tokens.models import DailyCount  # noqa: PLC0415 — not before

    call_command("migrate", verbosity=0)
    begun = time.perf_counter()
    call_command("make_demo_data", rows=min(rows, 5_000))
    if rows > 5_000:
        grow(connection, rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for kind in kinds.all_kinds():
        if kind.model is not None:
            counters.store_stock(kind.model, now=timezone.now())
    DailyCount.objects.filter(name__startswith="minted:").delete()
    print(f"{connection.vendor}: {rows} rows of each kind in {time.perf_counter() - begun:.0f} s\n", flush=True)  # noqa: T201 — prints
    logging.disable(logging.CRITICAL)  # lines about each request would stand between those of the table
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(User.objects.create_superuser("bench"))
    print("| page | queries | ms |\n| --- | ---: | ---: |")  # noqa: T201 — prints
    for name, url in pages().items():
        browser.get(url)
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            response = browser.get(url)
            times.append(time.perf_counter() - begun)
        assert response.status_code in {200, 302}, (name, response.status_code)
        with CaptureQueriesContext(connection) as queries:
            browser.get(url)
        print(f"| {name} | {len(queries)} | {1000 * min(times):.0f} |", flush=True)  # noqa: T201 — prints
        slow = [query for query in queries if float(query["time"]) > 0.1]
        for query in slow:
            print(query["time"], query["sql"][:2000], file=sys.stderr)  # noqa: T201 — prints
    connection.close()
    if connection.vendor == "sqlite" and Path(folder.name).exists():
        folder.cleanup()


if __name__ == "__main__":
    main()
