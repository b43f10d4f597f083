"""What a fourth issuer gets for nothing; `test_fourth_issuer.py` runs these with the settings beside them."""

import json
import os

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from tests.contracts import specimens
from tests.contracts.fourth import services
from tests.contracts.fourth.models import Badge
from tokens.core import kinds
from tokens.core.audit import SYSTEM
from tokens.core.models import State
from tokens.models import AuditEvent

pytestmark = pytest.mark.django_db

NUMBERS = iter(range(1000, 9999))


@pytest.fixture
def badge():
    """A badge and its value."""
    return services.mint("7", actor=SYSTEM)


def make(**fields):
    return Badge.objects.create(number=str(next(NUMBERS)), **fields)


SPECIMEN = specimens.Specimen(
    specimens.STORED, specimens.stored(make, lambda row: services.ring().sign(row.claims())), "e30.e30.c2ln"
)
specimens.SPECIMENS["badge"] = SPECIMEN


def test_is_among_the_kinds():
    assert kinds.get("badge").label == "Badge"
    assert [kind.name for kind in kinds.all_kinds()][-1] == "badge"


def test_needs_no_migration_that_was_forgotten():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("state", SPECIMEN.states)
def test_is_usable_in_one_state(state, snapshot):
    raw, row = SPECIMEN.make(state, snapshot)
    assert row.state_at(timezone.now()) == state
    assert Badge.objects.usable().exists() is (state == State.ACTIVE)
    assert kinds.find(raw) == (kinds.get("badge"), row)


def test_is_asked_for_at_its_own_door(api, badge):
    row, value = badge
    response = api.call("GET", "/badge", bearer=value)
    assert response.json() == {"badge": "7"}
    kinds.get("badge").revoke(row, actor=SYSTEM, reason="")
    assert api.call("GET", "/badge", bearer=value).status_code == 401


def test_speaks_its_own_dialect(api):
    response = api.call("GET", "/badge")
    assert response.status_code == 401
    assert response.json() == {"complaint": "The bearer token is missing or not valid."}
    assert response["WWW-Authenticate"] == "Bearer"
    assert response["Cache-Control"] == "no-store"


def test_is_checked_and_ended_at_the_standard_doors(api, badge, bearer):
    _, value = badge
    said = api.call("POST", "/introspect", {"token": value}, bearer=bearer).json()
    assert (said["active"], said["kind"], said["sub"]) == (True, "badge", "7")
    assert api.call("POST", "/revoke", {"token": value}).status_code == 200
    assert api.call("POST", "/introspect", {"token": value}, bearer=bearer).json() == {"active": False}


def test_is_no_bearer_elsewhere(api, badge):
    assert api.call("GET", "/_/token", bearer=badge[1]).status_code == 401


def test_is_made_by_init(tmp_path, capsys, monkeypatch, api):
    monkeypatch.delenv("FOURTH_SECRET_KEY")
    with override_settings(ENV_FILE=tmp_path / "env", VAR_DIR=tmp_path, STATIC_ROOT=tmp_path / "static"):
        call_command("init", "--json")
        document = json.loads(capsys.readouterr().out)
    assert document["variables"] == ["FOURTH_SECRET_KEY"]
    assert f"FOURTH_SECRET_KEY={os.environ['FOURTH_SECRET_KEY']}\n" in (tmp_path / "env").read_text()
    (made,) = (thing for thing in document["made"] if thing["label"] == "Badge 1")
    assert api.call("GET", "/badge", bearer=made["secret"]).status_code == 200


def test_has_an_admin_that_mints_lists_and_revokes(client, api):
    client.force_login(User.objects.create_superuser("jane"))
    page = client.post(reverse("admin:fourth_badge_add"), {"number": "7", "is_active": "on"})
    value = page.context["secret"]
    assert "no-store" in page["Cache-Control"]
    assert api.call("GET", "/badge", bearer=value).status_code == 200
    listing = reverse("admin:fourth_badge_changelist")
    assert "active" in client.get(listing).content.decode().lower()
    row = Badge.objects.get()
    client.post(reverse("admin:fourth_badge_verb", args=["revoke"]), {"id": row.pk, "reason": "lost"})
    assert api.call("GET", "/badge", bearer=value).status_code == 401
    assert AuditEvent.objects.get(action="fourth:badge:revoke").actor_label == "jane"
    assert client.post(reverse("admin:fourth_badge_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_is_in_the_index_of_the_admin(client):
    client.force_login(User.objects.create_superuser("jane"))
    assert reverse("admin:fourth_badge_changelist") in client.get(reverse("admin:index")).content.decode()


def test_leaves_the_other_doors_as_they_were(api):
    assert api.call("GET", "/auth/v1/ping").content == b"pong"
    assert api.call("GET", "/_/nowhere").json() == {"error": "There is nothing here."}


def test_is_brought_in_from_another_server(capsys, tmp_path):
    records = tmp_path / "records.jsonl"
    records.write_text('{"kind": "badge", "number": "7"}\n{"kind": "badge", "number": "7"}\n')
    call_command("import_records", str(records), "--json")
    assert json.loads(capsys.readouterr().out)["imported"] == {"badge": 1}
    assert Badge.objects.get().number == "7"
