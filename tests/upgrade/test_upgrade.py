"""A database of an earlier release, brought to this one and back: nothing is lost, and nothing comes to life."""

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.client import APIClient
from tests.settings import DATA

pytestmark = pytest.mark.django_db(transaction=True)

# Of each release, the last migration of each app.
RELEASES = {"1.0.0": {"tokens": "0002_roles", "podcast_perf": "0002_roles", "edi_auth": "0002_roles"}}
BEARER = "named_token"


def apps_of(release: str) -> Any:
    """The models as that release had them."""
    return MigrationExecutor(connection).loader.project_state(list(RELEASES[release].items())).apps


def migrate_to(release: str) -> None:
    for app, name in RELEASES[release].items():
        call_command("migrate", app, name, verbosity=0)


def load(release: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Store `rows`, with the models of `release`."""
    models = [apps_of(release).get_model(label) for label in rows]
    with connection.constraint_checks_disabled():
        for model, stored in sorted(zip(models, rows.values(), strict=True), key=lambda each: is_relation(each[0])):
            fields = {field.attname: field for field in model._meta.concrete_fields}
            model._base_manager.bulk_create(
                model(**{name: fields[name].to_python(value) for name, value in row.items()}) for row in stored
            )
    # What is made from now on gets the next ids.
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)


def is_relation(model: Any) -> int:
    """Tables that point at others come last."""
    return sum(field.is_relation for field in model._meta.concrete_fields)


def stored(release: str, labels: Any) -> dict[str, list[dict[str, Any]]]:
    """All rows of the tables, as the models of `release` see them."""
    models = {label: apps_of(release).get_model(label) for label in labels}
    return {label: list(model._base_manager.order_by("pk").values()) for label, model in models.items()}


@pytest.fixture(params=RELEASES)
def release(request) -> Any:
    """The name of a release whose tables are there, empty; those of this one are there again afterwards."""
    migrate_to(request.param)
    yield request.param
    call_command("migrate", verbosity=0)


@pytest.fixture
def document(release: str) -> dict[str, Any]:
    """What a database of that release held, stored now."""
    read = json.loads((DATA / f"release-{release}.json").read_text())
    load(release, read["rows"])
    return read


def test_loses_nothing_on_the_way_forwards_and_back(release, document):
    before = stored(release, document["rows"])
    assert sum(map(len, before.values())) > 300
    call_command("migrate", verbosity=0)
    migrate_to(release)
    assert stored(release, document["rows"]) == before


def test_accepts_what_was_usable_and_nothing_else(release, document, snapshot):
    call_command("migrate", verbosity=0)
    snapshot.renew()
    credentials = document["credentials"]
    bearer = next(each["text"] for each in credentials if each["kind"] == BEARER and each["accepted"])
    assert {each["kind"] for each in credentials} == {*DOORS, "performance_token", "edi_token", "pasta_token"}
    wrong = [each for each in credentials if is_accepted(each, bearer) is not each["accepted"]]
    assert wrong == []


def test_renews_tokens_that_the_release_before_made(release, document, snapshot):
    call_command("migrate", verbosity=0)
    snapshot.renew()
    kinds = ("edi_token", "pasta_token")
    edi, pasta = ([each for each in document["credentials"] if each["kind"] == kind] for kind in kinds)
    for ours, legacy in zip(edi, pasta, strict=True):
        body = {"edi-token": ours["text"], "pasta-token": legacy["text"]}
        answer = APIClient().call("POST", "/auth/v1/token/refresh", body)
        assert answer.status_code == (200 if ours["accepted"] else 403)


def is_accepted(credential: dict[str, Any], bearer: str) -> bool:
    """Whether the door of its kind lets a credential in, and introspection says the same."""
    kind, text = credential["kind"], credential["text"]
    answer = APIClient().call("POST", "/introspect", {"token": text}, bearer=bearer)
    assert answer.status_code == 200
    is_active = answer.json()["active"]
    if kind in DOORS:
        assert (DOORS[kind](text).status_code == 200) is is_active
    # The PASTA tokens of the file have expired, which keeps nobody from renewing them.
    return credential["accepted"] if kind == "pasta_token" and not is_active else is_active


DOORS = {
    "named_token": lambda text: APIClient().call("GET", "/_/token?limit=1", bearer=text),
    "publisher": lambda text: APIClient().call("GET", "/token", headers={"X-PUB-KEY": text}),
    "api_key": lambda text: APIClient().call("POST", "/auth/v1/key", {"key": text}),
}
