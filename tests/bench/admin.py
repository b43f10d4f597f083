"""How long the pages of the admin take with many rows: `python -m tests.bench.admin [--rows 1000000]`.

In a database of its own (`DATABASE_URL` of a PostgreSQL, or a file that is deleted afterwards) it makes the rows, then
opens each page three times and prints the queries and the best time of the server, rendering included.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path


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

    call_command("migrate", verbosity=0)
    begun = time.perf_counter()
    call_command("make_demo_data", rows=rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    print(f"{connection.vendor}: {rows} rows of each kind in {time.perf_counter() - begun:.0f} s\n")  # noqa: T201 — prints
    browser = Client()
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
