"""Write down what a database of this release may hold: `python -m tests.upgrade.make 1.0.0`, once for each release.

It makes `tests/data/release-1.0.0.json`: credentials of every kind in every state, whether a door accepts them, and all
rows of our tables as JSON. Their secrets and signing keys are those of the tests. Times lie far from now, so that the
states hold for as long as the file is there.
"""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.db import connection, models

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from edi_auth import claims, pasta  # noqa: E402 — Django is set up by now
from edi_auth import services as edi_services  # noqa: E402 — Django is set up by now
from tests import factories as make  # noqa: E402 — Django is set up by now
from tests.settings import DATA  # noqa: E402 — Django is set up by now
from tokens import services  # noqa: E402 — Django is set up by now
from tokens.core.audit import Actor  # noqa: E402 — Django is set up by now
from tokens.core.models import DailyCount, Notice, digest  # noqa: E402 — Django is set up by now

EACH = 6
MADE_AT = datetime(2026, 2, 1, tzinfo=UTC)
PAST, FAR, FARTHER = (datetime(year, 3, 1, tzinfo=UTC) for year in (2026, 2998, 2999))
STATES: dict[str, dict[str, Any]] = {
    "active": {},
    "lasting": {"expires_at": FAR},
    "revoked": {"revoked_at": PAST},
    "inactive": {"is_active": False},
    "pending": {"starts_at": FAR, "expires_at": FARTHER},
    "expired": {"expires_at": PAST},
}
ACCEPTED = {"active", "lasting"}
KINDS: dict[str, tuple[Any, Any]] = {
    "named_token": (make.NamedTokenFactory, make.value_of),
    "publisher": (make.PublisherFactory, make.secret_of),
    "performance_token": (make.PerformanceTokenFactory, make.value_of),
    "api_key": (make.ApiKeyFactory, make.secret_of),
}


def main(release: str) -> None:
    """Make the rows in a database of the tests, and write the file."""
    connection.creation.create_test_db(verbosity=0)
    made = [*in_every_state(), *of_principals(), *rotated()]
    credentials = [{"kind": kind, "text": text, "accepted": accepted} for kind, text, accepted in made]
    make_history()
    document = {"credentials": credentials, "rows": rows()}
    (DATA / f"release-{release}.json").write_text(json.dumps(document, indent=0, sort_keys=True) + "\n")


def in_every_state() -> list[tuple[str, str, bool]]:
    """Credentials that have a row: kind, text, and whether they are accepted."""
    found = []
    for kind, (factory, text_of) in KINDS.items():
        for state, fields in STATES.items():
            ends = {"expires_at": FAR} if kind == "performance_token" else {}
            made = factory.create_batch(EACH, **({"created_at": MADE_AT} | ends | fields))
            found += [(kind, text_of(row), state in ACCEPTED) for row in made]
    return found


def of_principals() -> list[tuple[str, str, bool]]:
    """Keys and tokens of a locked profile, of another one, and of groups."""
    found = []
    for locked in (False, True):
        profile = make.ProfileFactory(created_at=MADE_AT, locked_at=MADE_AT if locked else None)
        mail = f"friend-{locked}@example.org"
        friend = make.ProfileFactory(idp="google", idp_uid=mail, email=mail, created_at=MADE_AT)
        group = make.GroupFactory(created_at=MADE_AT)
        group.members.add(profile)
        friend.links.add(profile)
        of_group = make.ApiKeyFactory(owner=friend, group=group, created_at=MADE_AT)
        edi_claims = claims.of_profile(profile, groups=[group.edi_id], links=[], now=MADE_AT)
        legacy = pasta.PastaToken(profile.uid, settings.PASTA_SYSTEM, claims.pasta_ttl(MADE_AT), "vetted*authenticated")
        found += [
            ("api_key", make.secret_of(make.ApiKeyFactory(owner=profile, created_at=MADE_AT)), not locked),
            ("api_key", make.secret_of(of_group), True),
            ("edi_token", edi_services.ring().sign(edi_claims | {"exp": int(FAR.timestamp())}), not locked),
            ("pasta_token", pasta.sign(legacy), not locked),
        ]
    return found


def rotated() -> list[tuple[str, str, bool]]:
    """Old secrets, in their grace and after it."""
    found = []
    for kind in ("named_token", "publisher", "api_key"):
        factory, text_of = KINDS[kind]
        for valid_until in (FAR, PAST):
            row = factory(created_at=MADE_AT)
            found.append((kind, text_of(row), valid_until == FAR))
            fresh = str(make.NamedTokenFactory.build().subject)
            row.rotate(fresh if kind == "named_token" else digest(fresh), grace=valid_until - MADE_AT, now=MADE_AT)
            row.save()
    return found


def make_history() -> None:
    """What else there is: an audit log, counts, notices."""
    actor = Actor(kind="operator", channel="admin", id="1", label="ada", address="192.0.2.7", request_id="request-1234")
    for number in range(20):
        at = MADE_AT + timedelta(days=number)
        services.mint(f"history-{number}", actor=actor, now=at)
        services.update(f"history-{number}", actor=actor, is_active=False, now=at)
        services.revoke(f"history-{number}", actor=actor, reason="It leaked.", now=at)
        DailyCount.objects.create(day=at.date(), name="edi_auth:exchange", count=number, counted_at=at)
    about = {"kind": "named_token", "object_id": "1", "expires_at": PAST, "claimed_at": MADE_AT, "sent_at": MADE_AT}
    for days in (30, 7, 1):
        Notice.objects.create(days=days, channel="mail", **about)


def rows() -> dict[str, list[dict[str, Any]]]:
    """All rows of our tables, those of relations included, by `<app>.<model>`."""
    stored = {}
    for app in ("tokens", "podcast_perf", "edi_auth"):
        for model in apps.get_app_config(app).get_models(include_auto_created=True):
            if not model._meta.proxy:
                kept = model._default_manager.order_by("pk")
                stored[model._meta.label_lower] = [plain(row) for row in kept]
    return stored


def plain(row: models.Model) -> dict[str, Any]:
    """The fields of `row` as JSON has them."""
    values = {field: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return {
        field.attname: value if value is None or isinstance(value, bool | int | list | dict) else text_of(field, row)
        for field, value in values.items()
    }


def text_of(field: Any, row: models.Model) -> str:
    """The value of a field as text that the field can read."""
    return str(field.value_to_string(row))


if __name__ == "__main__":
    main(sys.argv[1])
