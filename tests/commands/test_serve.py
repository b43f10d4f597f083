"""`manage.py serve`: its arguments. What it serves is in tests/server."""

import pytest

from tests.core.process import BARE, PYTHON, run
from tests.settings import DATA
from tokens.management.commands import serve


@pytest.fixture
def started(monkeypatch):
    """The command lines that this process would have become."""
    lines = []
    monkeypatch.setattr("os.execve", lambda path, line, environment: lines.append(line))
    monkeypatch.setattr("os.chdir", lambda path: None)
    return lines


def test_becomes_gunicorn_at_the_documented_port(manage, started):
    assert manage("serve").code == 0
    (line,) = started
    assert line[1:3] == ["-m", "gunicorn"]
    assert line[line.index("--bind") + 1] == "127.0.0.1:7000"


def test_takes_address_and_number_of_workers(manage, started):
    manage("serve", "--bind", "0.0.0.0:8123", "--workers", "3")
    (line,) = started
    assert line[line.index("--bind") + 1] == "0.0.0.0:8123"
    assert line[line.index("--workers") + 1] == "3"


def test_becomes_granian_where_it_is_asked_for(manage, started, monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: name)
    manage("serve", "--server", "granian", "--bind", "[::1]:8123", "--workers", "3")
    (line,) = started
    assert line[1:] == ["-m", "config.granian", "::1", "8123", "3"]


def test_names_the_file_to_install_without_granian(manage, started, monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    outcome = manage("serve", "--server", "granian")
    assert outcome.code == 1
    assert "requirements-granian.txt" in outcome.err
    assert started == []


def test_refuses_for_granian_what_only_gunicorn_does(manage, started, monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: name)
    assert manage("serve", "--server", "granian", "--bind", "unix:/run/registry.sock").code == 2
    for name, value in {"GUNICORN_CMD_ARGS": "--worker-class sync", "SCRIPT_NAME": "/registry"}.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            outcome = manage("serve", "--server", "granian")
        assert outcome.code == 2
        assert name in outcome.err
    assert started == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workers", "many"],
        ["--workers", "0"],
        ["--workers", "-1"],
        ["--workers", ""],
        ["--bind"],
        ["--bind", ""],
        ["--bind", "127.0.0.1:port"],
        ["--bind", "127.0.0.1:70000"],
        ["--port", "7000"],
        ["7000"],
        ["--server", "uwsgi"],
    ],
    ids=" ".join,
)
def test_refuses_wrong_usage_and_starts_nothing(manage, started, arguments):
    outcome = manage("serve", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert started == []


def test_says_what_to_run_first(tmp_path):
    done = run(PYTHON, "manage.py", "serve", environment={**BARE, "ENV_FILE": str(tmp_path / "missing")})
    assert done.returncode == 1
    assert "SECRET_KEY is not set." in done.stderr
    assert "Run: manage.py init" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_makes_the_checks_once_it_is_the_server(tmp_path, server):
    missing = {**BARE, "ENV_FILE": str(tmp_path / "missing"), "SECRET_KEY": "s" * 64}
    done = run(PYTHON, "manage.py", "serve", "--bind", "127.0.0.1:0", "--server", server, environment=missing)
    assert done.returncode == 1
    assert "TOKENS_SECRET_KEY is not set." in done.stderr
    assert (done.stdout, "Traceback" in done.stderr) == ("", False)


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("EDI_JWT_PRIVATE_KEY_PATH", "pasta.pem"),
        ("EDI_JWT_PRIVATE_KEY_PATH", "none"),
        ("PASTA_PRIVATE_KEY_PATH", "edi.pem"),
        ("PASTA_PRIVATE_KEY_PATH", "none"),
    ],
)
def test_stops_for_a_file_that_holds_no_such_key(tmp_path, server, name, file):
    (tmp_path / "none").write_text("no key")
    path = DATA / file if file.endswith("pem") else tmp_path / file
    secrets = {"SECRET_KEY": "s" * 64, "TOKENS_SECRET_KEY": "t" * 64, "PERFORMANCE_SECRET_KEY": "p" * 64}
    keys = {"EDI_JWT_PRIVATE_KEY_PATH": str(tmp_path / "missing"), "PASTA_PRIVATE_KEY_PATH": str(tmp_path / "missing")}
    environment = {**BARE, "ENV_FILE": "/dev/null", **secrets, **keys, name: str(path)}
    done = run(PYTHON, "manage.py", "serve", "--bind", "127.0.0.1:0", "--server", server, environment=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(f"Configuration error: {name}: {file} ")
    assert "Traceback" not in done.stderr


LOADED = """
import sys, manage
try:
    manage.main()
finally:
    print("models" if "tokens.models" in sys.modules else "none")
"""


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [(["--bind", "bad"], "none"), (["--bind", "bad", "--settings", "config.settings"], "models")],
)
def test_loads_no_models_before_it_is_the_server(arguments, loaded):
    done = run(PYTHON, "-c", LOADED, "serve", *arguments)
    assert (done.returncode, done.stdout) == (2, f"{loaded}\n")
    assert "--bind must be HOST:PORT" in done.stderr
