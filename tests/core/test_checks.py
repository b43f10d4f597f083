"""System checks: one mistake each, known by its id."""

import pytest
from django.core.checks import run_checks

LONG = "x" * 32


def ids():
    return {message.id for message in run_checks()}


@pytest.fixture(autouse=True)
def private_keys(settings, tmp_path):
    """Key files as they should be."""
    for name in ("EDI_JWT_PRIVATE_KEY_PATH", "PASTA_PRIVATE_KEY_PATH"):
        path = tmp_path / name
        path.touch(mode=0o600)
        setattr(settings, name, path)


def test_finds_nothing_where_all_is_well():
    assert ids() == set()


@pytest.mark.parametrize(
    ("id", "name", "value"),
    [
        ("tokens.E001", "SECRET_KEY", ""),
        ("tokens.E002", "TOKENS_SECRET_KEY", ""),
        ("tokens.W003", "TOKENS_SECRET_KEY", "x" * 31),
        ("tokens.W004", "TRUSTED_PROXIES", ["0.0.0.0/0"]),
        ("tokens.W004", "TRUSTED_PROXIES", ["10.0.0.0/8", "::/0"]),
        ("tokens.W007", "NOTIFY_WEBHOOK_URL", "https://hooks.example.org"),
        ("edi_auth.W003", "EDI_SERVICE_KEY", "x" * 19),
        ("podcast_perf.W001", "PERFORMANCE_SECRET_KEY", ""),
        ("podcast_perf.W002", "PERFORMANCE_SECRET_KEY", "x" * 31),
    ],
)
def test_finds_a_setting_that_is_wrong(settings, id, name, value):
    setattr(settings, name, value)
    assert ids() == {id}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENS_SECRET_KEY", LONG),
        ("TOKENS_SECRET_KEY", "ü" * 16),
        ("PERFORMANCE_SECRET_KEY", LONG),
        ("EDI_SERVICE_KEY", "x" * 20),
        ("EDI_SERVICE_KEY", ""),
        ("TRUSTED_PROXIES", ["10.0.0.0/8", "127.0.0.1"]),
    ],
)
def test_finds_nothing_wrong_with_a_good_setting(settings, name, value):
    setattr(settings, name, value)
    assert ids() == set()


@pytest.mark.parametrize("name", ["EDI_JWT_PRIVATE_KEY_PATH", "PASTA_PRIVATE_KEY_PATH"])
def test_finds_a_key_file_that_is_missing(settings, name):
    getattr(settings, name).unlink()
    assert ids() == {"edi_auth.W001"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
@pytest.mark.parametrize("name", ["EDI_JWT_PRIVATE_KEY_PATH", "PASTA_PRIVATE_KEY_PATH"])
def test_finds_a_key_file_that_others_can_read(settings, name, mode):
    getattr(settings, name).chmod(mode)
    assert ids() == {"edi_auth.W002"}


@pytest.mark.parametrize("name", ["TOKENS_SECRET_KEY", "PERFORMANCE_SECRET_KEY", "EDI_SERVICE_KEY"])
def test_shows_no_secret(settings, name):
    setattr(settings, name, "hunter2")
    messages = run_checks()
    assert messages
    assert "hunter2" not in str(messages)


@pytest.mark.parametrize("id", ["tokens.E001", "tokens.E002", "podcast_perf.W001"])
def test_says_what_to_do(settings, id):
    settings.SECRET_KEY = settings.TOKENS_SECRET_KEY = settings.PERFORMANCE_SECRET_KEY = ""
    (hint,) = (message.hint for message in run_checks() if message.id == id)
    assert hint == "Run: manage.py init"
