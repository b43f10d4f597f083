"""How long the pages of the admin take with many rows: `python -m tests.bench.admin [--rows 1000000] [--shape active]`.

In a database of its own (`DATABASE_URL` of an empty PostgreSQL, or a file that is deleted afterwards) it has
`make_demo_data` make the rows and opens every list with every value of every filter, searches, sorted columns, the
last page, pages of rows, and the begin of every export. It prints the queries of each, the best time of several, and
how much of that the queries took, and fails when a page takes ten queries or 200 ms.

A shape is how the rows are spread: as a demo; all expired, all of one owner; all but the oldest 1 % usable, those of
one owner.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

TIMES = 3
# Queries of a slow page that take longer are shown.
SLOW_SECONDS = 0.02
FILTER_OF = {"AuditEvent": "since=week", "Profile": "locked=yes", "Group": "locked=yes"}
MOST_QUERIES, MOST_MS, MOST_OVERVIEW_MS = 9, 200, 150


@dataclass(frozen=True)
class Page:
    """Something to open: what it is, and where; with `body` a form that is sent."""

    name: str
    url: str
    body: dict[str, str] | None = None


@dataclass(frozen=True)
class Measured:
    """How many queries a page takes, how long it takes at best, and how long the queries do.

    On a busy machine `ms` is the processor time of this process and of the PostgreSQL that serves it,
    `own_ms` what it waited for queries.
    """

    queries: int
    ms: float
    own_ms: float


def pages(browser: Any) -> Iterator[Page]:
    """All pages, found by what the lists themselves offer."""
    from django.contrib import admin  # noqa: PLC0415 — the settings come first
    from django.urls import reverse  # noqa: PLC0415 — not before

    from tokens.core.admin.registry import ListAdmin  # noqa: PLC0415 — not before

    yield Page("overview", reverse("admin:index"))
    yield Page("found secret", reverse("find_secret"), {"secret": "somebody-found-this-somewhere"})
    for model, page in admin.site._registry.items():
        if not isinstance(page, ListAdmin):
            continue
        name, label = f"admin:{model._meta.app_label}_{model._meta.model_name}", str(model._meta.verbose_name_plural)
        row = model._default_manager.order_by("pk")[model._default_manager.count() // 2 :].first()
        if row is None:  # of which the demo has none
            continue
        url = reverse(f"{name}_changelist")
        shown = browser.get(url).context["cl"]
        queries = {"": "", "last page": f"p={shown.paginator.num_pages}"}
        queries |= filtered(shown) | {f"sorted by {column}": f"o={column}" for column in sortable(page)}
        queries |= searched(page, row) | combined(model)
        yield from (Page(f"{label}, {what}" if what else label, f"{url}?{query}") for what, query in queries.items())
        yield Page(f"{label}: one", reverse(f"{name}_change", args=[row.pk]))
        for form in page.export_formats:
            yield Page(f"{label}: begin of {form}", reverse(f"{name}_export", args=[form]))
        exported = reverse(f"{name}_export", args=["csv"])
        query = FILTER_OF.get(model.__name__, "state=expired")
        yield Page(f"{label}, {query}: begin of csv", f"{exported}?{query}")


def filtered(shown: Any) -> dict[str, str]:
    """Every value of every filter of a list."""
    choices = ((spec, choice) for spec in shown.filter_specs for choice in spec.choices(shown))
    return {
        f"{spec.title}: {choice['display']}".lower(): choice["query_string"][1:]
        for spec, choice in choices
        if choice.get("query_string", "?") != "?"
    }


def searched(page: Any, row: Any) -> dict[str, str]:
    """Searches by how each field begins, which many rows do alike, and by all of it."""
    queries: dict[str, str] = {}
    for field in page.search_fields:
        value = row
        for part in field.split("__"):
            value = getattr(value, part)
        queries |= {f"{field} begins": f"q={str(value)[:4]}", f"{field} is": f"q={value}"}
    return queries


def sortable(page: Any) -> list[int]:
    """The columns of a list that can be sorted by, both ways."""
    columns = [place for place, name in enumerate(page.list_display, start=1) if name in page.sortable_by]
    return [*columns, *(-column for column in columns)]


def combined(model: Any) -> dict[str, str]:
    """Filters that stand for a row, alone and with others."""
    if model.__name__ == "AuditEvent":
        return {
            "about one row": "about=named_token:500000",
            "by one actor": "about=system:@actor",
            "by nobody": "about=operator:77@actor",
            "revocations of the last month": "since=month&action=tokens:named_token:revoke",
            "mints by API of the last month": "since=month&action=tokens:named_token:mint&channel=api",
        }
    if model.__name__ in {"Profile", "Group"}:
        return {}
    field = {"ApiKey": "owner", "PerformanceToken": "publisher"}.get(model.__name__)
    first = model._default_manager.order_by("pk").values_list(field, flat=True).first() if field else None
    owned = {
        f"of the first {field}": f"{field}__id__exact={first}",
        f"of the first {field}, active": f"{field}__id__exact={first}&state=active",
        f"of the first {field}, expired": f"{field}__id__exact={first}&state=expired",
        f"of no {field}": f"{field}__id__exact=99999999",
    }
    return {"active, 7 days": "state=active&expires=week", "expired, sorted": "state=expired&o=1"} | (
        owned if field else {}
    )


def reshape(shape: str) -> None:
    """Spread the rows otherwise."""
    from django.db.models import F  # noqa: PLC0415 — the settings come first
    from django.utils import timezone  # noqa: PLC0415 — not before

    from edi_auth.models import ApiKey  # noqa: PLC0415 — not before
    from podcast_perf.models import PerformanceToken  # noqa: PLC0415 — not before
    from tokens.models import NamedToken  # noqa: PLC0415 — not before

    going = {"revoked_at": None, "is_active": True}
    past, future = F("created_at") + timedelta(hours=1), timezone.now() + timedelta(days=300)
    for model, field in ((NamedToken, None), (ApiKey, "owner_id"), (PerformanceToken, "publisher_id")):
        rows = model.objects.all()
        old = rows if shape == "expired" else rows.filter(pk__lte=rows.order_by("pk")[rows.count() // 100].pk)
        if shape == "active":
            rows.update(**going, expires_at=future)
        owner = {field: rows.order_by("pk").values_list(field, flat=True)[0]} if field else {}
        old.update(**going, expires_at=past, **owner)


def opened(browser: Any, page: Page) -> None:
    """Open it, and of what is streamed the first piece."""
    response = browser.post(page.url, page.body) if page.body else browser.get(page.url)
    assert response.status_code in {200, 302}, (page, response.status_code)
    if response.streaming:
        next(iter(response.streaming_content), b"")


def server_seconds() -> float:
    """The processor time that the PostgreSQL process behind the connection has used; 0 with SQLite.

    Raises `OSError` when it runs on another machine.
    """
    from django.db import connection  # noqa: PLC0415 — the settings come first

    if connection.vendor == "sqlite":
        return 0.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def measure(browser: Any, page: Page) -> Measured:
    """Open it several times."""
    from django.db import connection  # noqa: PLC0415 — the settings come first
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415 — not before

    opened(browser, page)
    found, slow = [], []
    for _ in range(TIMES):
        begun, cpu = time.perf_counter(), time.process_time() + server_seconds()
        opened(browser, page)
        wall, cpu = time.perf_counter() - begun, time.process_time() + server_seconds() - cpu
        with CaptureQueriesContext(connection) as queries:
            opened(browser, page)
        own = sum(float(query["time"]) for query in queries)
        found.append(Measured(len(queries), 1000 * min(wall, cpu), 1000 * own))
        slow = [query for query in queries if float(query["time"]) > SLOW_SECONDS]
    best = Measured(found[-1].queries, min(one.ms for one in found), min(one.own_ms for one in found))
    for query in slow if best.ms > MOST_MS / 2 else ():
        print(page.name, query["time"], query["sql"][:3000], file=sys.stderr)  # noqa: T201 — prints
    return best


def main() -> int:
    """Make, measure, print; the exit code tells whether a page missed its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shape", choices=("demo", "expired", "active"), default="demo")
    parser.add_argument("--only", default="", help="pages whose names begin so")
    parser.add_argument("--kept", action="store_true", help="the database has its rows")
    options = parser.parse_args()
    folder = tempfile.TemporaryDirectory(prefix="registry-bench-")
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder.name}/registry.sqlite3")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

    import django  # noqa: PLC0415 — the settings come first

    django.setup()
    from django.contrib.auth.models import User  # noqa: PLC0415 — not before
    from django.db import connection  # noqa: PLC0415 — not before
    from django.test import Client  # noqa: PLC0415 — not before
    from django.test.utils import setup_test_environment, teardown_test_environment  # noqa: PLC0415 — not before

    from tokens.core.operations import logs  # noqa: PLC0415 — not before

    begun = time.perf_counter()
    if not options.kept:
        for command in (["migrate", "-v0"], ["make_demo_data", "--rows", str(options.rows)]):
            subprocess.run([sys.executable, "manage.py", *command], check=True, stdout=sys.stderr)  # noqa: S603 — ours
    if options.shape != "demo":
        reshape(options.shape)
    seconds = time.perf_counter() - begun
    print(f"{connection.vendor}: {options.rows} rows of each kind ({options.shape}) in {seconds:.0f} s\n", flush=True)  # noqa: T201 — prints
    # Lines of the log would stand between those of the table.
    logging.disable(logging.CRITICAL)
    logs.configure("json", write=len)
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(User.objects.get_or_create(username="bench", is_superuser=True, is_staff=True)[0])
    print("| page | queries | ms | of that in queries |\n| --- | ---: | ---: | ---: |")  # noqa: T201 — prints
    missed = []
    setup_test_environment()  # for what the lists offer; it makes pages slower
    offered = [page for page in pages(browser) if page.name.startswith(options.only)]
    teardown_test_environment()
    for page in offered:
        took = measure(browser, page)
        print(f"| {page.name} | {took.queries} | {took.ms:.0f} | {took.own_ms:.0f} |", flush=True)  # noqa: T201 — prints
        most = MOST_OVERVIEW_MS if page.name == "overview" else MOST_MS
        if took.ms > most or (took.queries > MOST_QUERIES and page.name != "overview"):
            missed.append(page.name)
    print(f"\nmissed: {', '.join(missed) or 'none'}")  # noqa: T201 — prints
    connection.close()
    folder.cleanup()
    return len(missed)


if __name__ == "__main__":
    sys.exit(main())
