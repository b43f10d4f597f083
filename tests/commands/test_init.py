"""`manage.py init`."""

import os
import stat
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import execute_from_command_line
from django.test import override_settings

from edi_auth.models import ApiKey, Profile
from tests.factories import NamedTokenFactory
from tokens.models import NamedToken

pytestmark = pytest.mark.django_db

SECRETS = ("SECRET_KEY", "TOKENS_SECRET_KEY", "PERFORMANCE_SECRET_KEY", "PERFORMANCE_PUBLIC_KEY")


@pytest.fixture
def folder(tmp_path, monkeypatch, umask):
    """A fresh checkout: no `.env`, no secret in the environment, no key file, no folder for data."""
    for name in SECRETS:
        monkeypatch.delenv(name)
    places = {
        "ENV_FILE": tmp_path / ".env",
        "VAR_DIR": tmp_path / "var",
        "STATIC_ROOT": tmp_path / "var" / "static",
        "EDI_JWT_PRIVATE_KEY_PATH": tmp_path / "var" / "keys" / "edi.pem",
        "PASTA_PRIVATE_KEY_PATH": tmp_path / "var" / "keys" / "pasta.pem",
    }
    with override_settings(**places, **dict.fromkeys(SECRETS, "")):
        yield tmp_path


def variables(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines() if "=" in line)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_writes_fresh_secrets(manage, folder):
    assert manage("init").code == 0
    made = variables(folder)
    assert set(made) == set(SECRETS)
    assert len(set(made.values())) == len(SECRETS)
    assert min(map(len, made.values())) >= 27


def test_makes_other_secrets_each_time(manage, folder):
    manage("init")
    first = variables(folder)
    (folder / ".env").unlink()
    for name in SECRETS:
        del os.environ[name]
    manage("init")
    assert not set(first.values()) & set(variables(folder).values())


@pytest.mark.parametrize("name", [".env", "var/keys/edi.pem", "var/keys/pasta.pem"])
def test_lets_nobody_else_read_a_file_with_secrets(manage, folder, name):
    manage("init")
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_makes_the_first_operator(manage, folder):
    made = manage("init", "--json").document["made"]
    (password,) = (thing["secret"] for thing in made if "operator admin" in thing["label"])
    assert User.objects.get(is_superuser=True).check_password(password)


def test_makes_a_first_token_that_the_api_takes(manage, folder, api):
    made = manage("init", "--json").document["made"]
    (value,) = (thing["secret"] for thing in made if thing["label"] == "Named token 'first'")
    assert api.call("POST", "/_/token", {"name": "ci"}, bearer=value).status_code == 201


def test_makes_a_public_key_that_the_api_takes(manage, folder, api):
    made = manage("init", "--json").document["made"]
    (key,) = (thing["secret"] for thing in made if thing["label"] == "Podcast X-PUB-KEY")
    assert api.call("GET", "/token", headers={"X-PUB-KEY": key}).status_code == 200


def test_prints_the_password_once(manage, folder):
    out = manage("init").out
    password = out.split("operator admin, password:\n")[1].split()[0]
    assert User.objects.get().check_password(password)
    assert out.count(password) == 1


def test_prints_no_secret_that_nobody_types(manage, folder):
    outcome = manage("init", "--demo")
    made = variables(folder)
    for name in ("SECRET_KEY", "TOKENS_SECRET_KEY", "PERFORMANCE_SECRET_KEY"):
        assert made[name] not in outcome.out + outcome.err


def test_prints_one_json_document(manage, folder):
    document = manage("init", "--json").document
    assert set(document["variables"]) == set(SECRETS)
    assert document["files"] == [str(folder / "var/keys/edi.pem"), str(folder / "var/keys/pasta.pem")]
    assert all(set(thing) == {"label", "secret", "example"} for thing in document["made"])


@pytest.mark.parametrize("options", [[], ["--demo"], ["--json"], ["--demo", "--json"]], ids=" ".join)
def test_prints_no_secret_the_second_time(manage, folder, options):
    manage("init", *options)
    first = [*variables(folder).values(), *NamedToken.objects.values_list("subject", flat=True)]
    outcome = manage("init", *options)
    assert outcome.code == 0
    assert not [secret for secret in map(str, first) if secret in outcome.out + outcome.err]
    assert "eyJ" not in outcome.out
    assert "password" not in outcome.out


def test_says_the_second_time_that_all_is_there(manage, folder):
    manage("init")
    assert manage("init").out == "Everything is set up.\n"


def test_makes_nothing_the_second_time(manage, folder):
    manage("init", "--demo")
    assert manage("init", "--demo", "--json").document == {"variables": [], "files": [], "made": []}


def test_changes_no_file_the_second_time(manage, folder):
    manage("init", "--demo")
    before = contents(folder)
    manage("init", "--demo")
    assert contents(folder) == before
    assert len(before) == 3


@pytest.mark.parametrize("given", ["PORT=7100\n# a note\n", "PORT=7100", "\n\nSECRET_KEY=\n"])
def test_leaves_the_lines_of_an_env_file_as_they_are(manage, folder, given):
    (folder / ".env").write_text(given)
    manage("init")
    text = (folder / ".env").read_text()
    assert text.startswith(given)
    assert text[len(given.rstrip("\n")) :].startswith("\n")
    assert "TOKENS_SECRET_KEY" in variables(folder)


def test_keeps_the_mode_of_an_env_file(manage, folder):
    (folder / ".env").write_text("PORT=7100\n")
    (folder / ".env").chmod(0o640)
    manage("init")
    assert stat.S_IMODE((folder / ".env").stat().st_mode) in {0o640, 0o600}


@pytest.mark.parametrize("value", ["", "chosen-by-hand"])
def test_respects_a_variable_that_is_set(manage, folder, monkeypatch, value):
    monkeypatch.setenv("PERFORMANCE_PUBLIC_KEY", value)
    outcome = manage("init", "--json")
    assert "PERFORMANCE_PUBLIC_KEY" not in variables(folder)
    assert "PERFORMANCE_PUBLIC_KEY" not in outcome.document["variables"]
    assert "Podcast X-PUB-KEY" not in outcome.out


@pytest.mark.parametrize("name", ["SECRET_KEY", "TOKENS_SECRET_KEY"])
def test_says_which_variable_stands_in_its_way(manage, folder, monkeypatch, name):
    monkeypatch.setenv(name, "")
    outcome = manage("init")
    assert outcome.code == 1
    path = folder / ".env"
    assert (
        outcome.err == f"CommandError: {name} is set to nothing, in {path} or in the environment. Remove that line.\n"
    )
    assert not path.exists()


def test_points_elsewhere_where_no_operator_may_do_everything(manage, folder):
    User.objects.create_user("admin", password="correct horse")
    outcome = manage("init")
    assert outcome.code == 1
    assert outcome.err.endswith("Run: manage.py createsuperuser\n")


def test_overwrites_no_key_file(manage, folder):
    (folder / "var" / "keys").mkdir(parents=True)
    (folder / "var" / "keys" / "edi.pem").write_text("a key from elsewhere")
    document = manage("init", "--json").document
    assert document["files"] == [str(folder / "var/keys/pasta.pem")]
    assert (folder / "var/keys/edi.pem").read_text() == "a key from elsewhere"


def test_leaves_an_operator_who_is_there_alone(manage, folder):
    User.objects.create_superuser("jane", password="correct horse")
    assert "password" not in manage("init").out
    assert list(User.objects.values_list("username", flat=True)) == ["jane"]
    assert User.objects.get().check_password("correct horse")


def test_makes_no_first_token_beside_others(manage, folder):
    NamedTokenFactory(name="ci")
    assert "Named token" not in manage("init").out
    assert list(NamedToken.objects.values_list("name", flat=True)) == ["ci"]


def test_makes_no_profile_without_being_asked(manage, folder):
    manage("init")
    assert not Profile.objects.exists()
    assert not ApiKey.objects.exists()


def test_makes_a_demo_profile_whose_key_can_be_exchanged(manage, folder, api):
    made = manage("init", "--demo", "--json").document["made"]
    (key,) = (thing["secret"] for thing in made if "demo profile" in thing["label"])
    assert api.call("POST", "/auth/v1/key", {"key": key}).status_code == 200


def test_shows_a_curl_line_for_every_api(manage, folder):
    lines = [line for line in manage("init", "--demo").out.splitlines() if line.startswith("curl ")]
    assert [path for path in ("/token ", "/_/token ", "/auth/v1/key ") for line in lines if f":7000{path}" in line] == [
        "/token ",
        "/_/token ",
        "/auth/v1/key ",
    ]


def test_asks_no_system_check_that_it_is_there_to_satisfy(folder, capsys):
    with pytest.raises(SystemExit) as refused:
        execute_from_command_line(["manage.py", "check"])
    assert refused.value.code == 1
    assert "SECRET_KEY is not set." in capsys.readouterr().err
