"""`manage.py introspect`."""

import io
import os
from datetime import timedelta

import pytest
from django.utils import timezone

from edi_auth.models import Profile
from tests.commands.conftest import table
from tests.contracts.specimens import SPECIMENS
from tests.core.process import PYTHON, run
from tests.factories import ApiKeyFactory, NamedTokenFactory, secret_of, value_of
from tokens import services
from tokens.core import kinds
from tokens.core.audit import SYSTEM
from tokens.core.models import Credential, State
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

CASES = [(kind, state) for kind in kinds.all_kinds() for state in SPECIMENS[kind.name].states]


@pytest.fixture
def judge(manage, tmp_path):
    """Run the command on a file of these lines: the lines that it prints about them, and all that it leaves behind."""

    def judge(*lines, options=()):
        path = tmp_path / "lines"
        path.write_text("".join(f"{line}\n" for line in lines))
        return manage("introspect", str(path), *options)

    return judge


@pytest.mark.parametrize(("kind", "state"), CASES, ids=[f"{kind.name}-{state}" for kind, state in CASES])
def test_tells_each_kind_in_each_state(judge, snapshot, kind, state):
    raw, row = SPECIMENS[kind.name].make(state, snapshot)
    outcome = judge(raw, options=["--json"])
    (told,) = outcome.document["rows"]
    known = row or kind.find(raw)
    assert (told["line"], told["kind"], told["name"]) == (1, kind.name, str(known))
    assert told["active"] is (state == State.ACTIVE)
    assert outcome.code == (0 if state == State.ACTIVE else 1)
    if state == State.ACTIVE or isinstance(row, Credential):
        assert told["state"] == state
    else:
        assert told["state"] == "expired or ended"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_shows_no_secret(judge, options):
    token, key = value_of(NamedTokenFactory()), secret_of(ApiKeyFactory())
    outcome = judge(token, key, "of-nobody", options=options)
    shown = outcome.out + outcome.err
    assert not [secret for secret in (token, token.rpartition(".")[2], key, "of-nobody") if secret in shown]


def test_tells_a_line_of_each(judge):
    outcome = judge("", f"Bearer {value_of(NamedTokenFactory(name='ci'))}", " ", "of-nobody")
    assert table(outcome) == [
        ["line", "kind", "name", "state"],
        ["2", "named_token", "ci", "active"],
        ["4", "-", "-", "unknown"],
    ]
    assert outcome.code == 1


def test_tells_the_claims_of_what_can_be_used(judge, api):
    value = value_of(NamedTokenFactory(name="ci"))
    (told,) = judge(value, options=["--json"]).document["rows"]
    answer = api.call("POST", "/introspect", {"token": value}, bearer=value).json()
    del answer["token_type"]
    assert told == answer | {"line": 1, "name": "ci", "state": "active"}


def test_tells_a_token_whose_profile_is_not_here(judge, snapshot):
    raw, _ = SPECIMENS["edi_token"].make(State.ACTIVE, snapshot)
    (profile,) = Profile.objects.all()
    profile.delete()
    outcome = judge(raw)
    assert table(outcome)[1:] == [["1", "edi_token", profile.edi_id, "active"]]
    assert outcome.code == 0


def test_tells_an_old_secret_from_the_new_one(judge):
    token = NamedTokenFactory(name="ci")
    old = value_of(token)
    services.rotate("ci", actor=SYSTEM, grace=timedelta(hours=1))
    outcome = judge(old)
    assert table(outcome)[1:] == [["1", "named_token", "ci", "active, by its old secret"]]
    assert outcome.code == 0
    NamedToken.objects.update(previous_valid_until=timezone.now())
    outcome = judge(old)
    assert table(outcome)[1:] == [["1", "named_token", "ci", "replaced"]]
    assert outcome.code == 1


def test_tells_a_secret_of_the_settings(judge, settings):
    outcome = judge(settings.PERFORMANCE_PUBLIC_KEY)
    assert table(outcome)[1:] == [["1", "-", "PERFORMANCE_PUBLIC_KEY", "a setting"]]
    assert outcome.code == 0


def test_changes_nothing(judge):
    key = ApiKeyFactory()
    judge(secret_of(key))
    key.refresh_from_db()
    assert (key.use_count, key.last_used_at) == (0, None)
    assert not AuditEvent.objects.exists()


def test_asks_for_one_unseen_on_a_terminal(manage, monkeypatch):
    monkeypatch.setattr("sys.stdin", type("Terminal", (io.StringIO,), {"isatty": lambda _: True})())
    monkeypatch.setattr("getpass.getpass", lambda prompt: value_of(NamedTokenFactory(name="ci")))
    assert table(manage("introspect"))[1:] == [["1", "named_token", "ci", "active"]]


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_says_that_there_is_nothing(manage, tmp_path, content):
    (tmp_path / "lines").write_bytes(content)
    outcome = manage("introspect", str(tmp_path / "lines"))
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "CommandError: There is nothing to look up.\n")


def test_says_that_there_is_no_such_file(manage):
    outcome = manage("introspect", "/nowhere")
    assert (outcome.code, outcome.err) == (1, "CommandError: /nowhere: No such file or directory\n")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00" * 100, b"x" * 1_000_000, b"a.b.c\n" * 100])
def test_takes_whatever_a_file_holds(manage, tmp_path, content):
    (tmp_path / "lines").write_bytes(content)
    outcome = manage("introspect", str(tmp_path / "lines"))
    assert outcome.code == 1
    assert {line[-1] for line in table(outcome)[1:]} == {"unknown"}


def test_reads_a_pipe(tmp_path):
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"}
    made = run(PYTHON, "manage.py", "migrate", "-v", "0", environment=environment)
    assert made.returncode == 0, made.stderr
    done = run("/bin/sh", "-c", f"echo of-nobody | {PYTHON} manage.py introspect", environment=environment)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].split() == ["1", "-", "-", "unknown"]
