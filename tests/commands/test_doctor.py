"""`manage.py doctor`: what is wrong, and how to mend it."""

import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection

from tests.settings import IS_SQLITE
from tokens.core.operations import health

pytestmark = pytest.mark.django_db


@pytest.fixture
def examined(manage):
    """The findings about one subject, and the exit code."""

    def examine(subject):
        outcome = manage("doctor", "--json")
        return [row for row in outcome.document["rows"] if row["subject"] == subject], outcome.code

    return examine


@pytest.fixture(autouse=True)
def sound(settings, tmp_path, monkeypatch):
    """Key files that nobody else can read, and nothing in the environment that is for tests in a browser."""
    monkeypatch.delenv("DJANGO_ALLOW_ASYNC_UNSAFE", raising=False)
    for name in ("EDI_JWT_PRIVATE_KEY_PATH", "PASTA_PRIVATE_KEY_PATH"):
        path = tmp_path / getattr(settings, name).name
        shutil.copy(getattr(settings, name), path)
        path.chmod(0o600)
        setattr(settings, name, path)


def test_finds_nothing_broken_in_a_sound_installation(manage):
    outcome = manage("doctor")
    assert [line for line in outcome.out.splitlines() if line.startswith("broken")] == []
    assert outcome.code == 0
    assert "ok         database: ok" in outcome.out


def test_asks_for_nothing_that_the_settings_decide_against(examined, settings):
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 3600
    findings, _ = examined("settings")
    assert [row for row in findings if "HSTS" in row["words"]] == []


def test_tells_of_a_database_that_is_away(examined, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("refused")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", fail)
    (finding,), code = examined("database")
    assert (finding["verdict"], code) == ("broken", 1)
    assert "DATABASE_URL" in finding["remedy"]


@pytest.mark.skipif(not IS_SQLITE, reason="An embedded database is a file.")
def test_makes_no_database_where_there_is_none(examined, tmp_path, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "nothing.sqlite3"))
    (finding,), code = examined("database")
    assert (finding["verdict"], code) == ("broken", 1)
    assert f"{tmp_path}/nothing.sqlite3" in finding["remedy"]
    assert list(tmp_path.glob("nothing*")) == []
    assert examined("migrations")[0] == []


@pytest.mark.skipif(IS_SQLITE, reason="An embedded database listens nowhere.")
def test_says_where_it_looks_for_a_server(examined, monkeypatch):
    place = {"HOST": "db.example.org", "PORT": 5433, "USER": "registry", "PASSWORD": "hunter2"}
    for name, value in place.items():
        monkeypatch.setitem(connection.settings_dict, name, value)
    monkeypatch.setitem(health._probes, "database", lambda: 1 / 0)
    monkeypatch.setattr(health, "Error", ZeroDivisionError)
    (finding,), _ = examined("database")
    assert "pg_isready --host db.example.org --port 5433" in finding["remedy"]
    assert "hunter2" not in str(finding)


def test_tells_of_an_environment_file_that_is_gone(examined, settings, tmp_path):
    settings.ENV_FILE, settings.TOKENS_SECRET_KEY = tmp_path / "env", ""
    (finding,), code = examined("env")
    assert (finding["verdict"], code) == ("broken", 1)
    assert str(tmp_path / "env") in finding["words"]


@pytest.mark.parametrize(("files", "verdict"), [([], "broken"), (["staticfiles.json"], "ok")])
def test_looks_for_the_files_of_the_admin(examined, settings, tmp_path, files, verdict):
    settings.WHITENOISE_USE_FINDERS, settings.STATIC_ROOT = False, tmp_path
    for name in files:
        (tmp_path / name).touch()
    (finding,), _ = examined("static files")
    assert finding["verdict"] == verdict


def test_tells_of_operators_whom_no_mail_reaches(examined, settings):
    settings.EMAIL_HOST, settings.NOTIFY_EMAILS = "", ["operators@example.org"]
    (finding,), _ = examined("mail")
    assert (finding["verdict"], finding["remedy"]) == ("attention", "Name one in EMAIL_URL.")


def test_tells_of_migrations(examined, monkeypatch):
    monkeypatch.setattr(health, "_migrated", False)
    monkeypatch.setattr("django.db.migrations.executor.MigrationExecutor.migration_plan", lambda self, targets: [1])
    (finding,), code = examined("migrations")
    assert (finding["verdict"], finding["remedy"], code) == ("broken", "Run: manage.py migrate", 1)


def test_tells_of_a_clock(examined, time_machine):
    time_machine.move_to("1970-01-01T00:00:09Z")
    (finding,), code = examined("clock")
    assert (finding["verdict"], code) == ("broken", 1)
    assert "NTP" in finding["remedy"]


def test_tells_of_a_key_file_that_is_missing(examined, settings):
    settings.PASTA_PRIVATE_KEY_PATH = Path("/nowhere/pasta.pem")
    (finding,), code = examined("pasta key")
    assert (finding["verdict"], code) == ("broken", 1)
    assert finding["remedy"]


def test_tells_of_a_key_file_that_others_can_read(examined, settings):
    settings.PASTA_PRIVATE_KEY_PATH.chmod(0o644)
    findings, code = examined("settings")
    assert code == 0
    assert any("pasta.pem" in finding["words"] and "chmod" in finding["remedy"] for finding in findings)


@pytest.mark.parametrize(("mode", "verdict"), [(0o600, "ok"), (0o640, "attention"), (0o644, "attention")])
def test_looks_at_the_file_of_secrets(examined, settings, tmp_path, mode, verdict):
    settings.ENV_FILE = tmp_path / "env"
    settings.ENV_FILE.touch()
    settings.ENV_FILE.chmod(mode)
    (finding,), _ = examined("env")
    assert finding["verdict"] == verdict


@pytest.mark.skipif(not IS_SQLITE, reason="Only an embedded database is on a disk of ours.")
def test_tells_of_a_full_disk(examined, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(total=100, used=99, free=1))
    (finding,), _ = examined("disk")
    assert finding["verdict"] == "attention"


def test_tells_of_a_proxy_that_nobody_named(examined, settings):
    settings.HTTPS_ONLY, settings.TRUSTED_PROXIES = True, []
    (finding,), code = examined("proxy")
    assert (finding["verdict"], code) == ("attention", 0)
    assert "TRUSTED_PROXIES" in finding["remedy"]
    settings.TRUSTS_UNIX_SOCKET = True
    (finding,), _ = examined("proxy")
    assert finding["verdict"] == "ok"


@pytest.mark.parametrize(
    ("hosts", "verdict"),
    [
        (["tokens.example.org"], "ok"),
        ([".example.org"], "ok"),
        (["*"], "ok"),
        (["localhost"], "broken"),
        (["example.org"], "broken"),
    ],
)
def test_tells_of_an_origin_that_is_no_allowed_host(examined, settings, hosts, verdict):
    settings.CSRF_TRUSTED_ORIGINS, settings.ALLOWED_HOSTS = ["https://tokens.example.org:8443"], hosts
    (finding,), _ = examined("proxy")
    assert finding["verdict"] == verdict


@pytest.mark.parametrize("origin", ["https://[::1]:7443", "https://[::1]"])
def test_knows_an_origin_that_is_an_address_of_ipv6(examined, settings, origin):
    settings.CSRF_TRUSTED_ORIGINS, settings.ALLOWED_HOSTS = [origin], ["[::1]"]
    (finding,), _ = examined("proxy")
    assert finding["verdict"] == "ok"


def test_tells_of_a_mail_server_that_does_not_answer(examined, settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.EMAIL_PORT = listener.getsockname()[1]
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    (finding,), code = examined("mail")
    assert (finding["verdict"], code) == ("broken", 1)
    assert "EMAIL_URL" in finding["remedy"]


def test_tells_of_debugging(examined, settings):
    settings.DEBUG = True
    findings, _ = examined("settings")
    assert any("DEBUG" in finding["words"] for finding in findings)


def test_shows_no_secret(manage, settings):
    said = manage("doctor").out + manage("doctor", "--json").out
    secrets = [settings.SECRET_KEY, settings.TOKENS_SECRET_KEY, settings.PERFORMANCE_SECRET_KEY]
    assert not any(secret in said for secret in secrets)
