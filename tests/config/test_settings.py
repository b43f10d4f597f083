"""Settings, read from the environment or from `.env` (the contract, "Settings")."""

import json
from subprocess import CompletedProcess

import pytest

from tests.core.process import BARE, PYTHON, ROOT, run

SECRETS = {"SECRET_KEY": "s" * 50, "TOKENS_SECRET_KEY": "t" * 32, "PERFORMANCE_SECRET_KEY": "p" * 32}


def python(*arguments: str, **variables: str) -> CompletedProcess[str]:
    """Run Python with an environment of nothing but `variables`."""
    return run(PYTHON, *arguments, environment={**BARE, "ENV_FILE": "/dev/null", **variables})


def read(*names: str, **variables: str) -> list[object]:
    """The settings `names` as a fresh process has them."""
    code = f"from config import settings; print(json.dumps([getattr(settings, name) for name in {names}], default=str))"
    done = python("-c", f"import json; {code}", **variables)
    assert done.stderr == ""
    return json.loads(done.stdout)


NONSENSE = [
    ("DATABASE_URL", "nonsense"),
    ("DATABASE_URL", "mysql://somebody:hunter2@localhost/registry"),
    ("DATABASE_URL", "oracel://somebody:hunter2@localhost/registry"),
    ("DATABASE_URL", "postgres://somebody:hunter2@localhost:port/registry"),
    ("DATABASE_URL", "postgres://"),
    ("DATABASE_URL", "postgres://somebody:hunter2@localhost/"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "sqlite:///?timeout=5"),
    ("DATABASE_URL", "sqlite://registry.sqlite3"),
    ("DATABASE_URL", "sqlite://var/registry.sqlite3"),
    ("DATABASE_URL", "sqlite:registry.sqlite3"),
    ("CSRF_TRUSTED_ORIGINS", "tokens.example.org"),
    ("CSRF_TRUSTED_ORIGINS", "https://tokens.example.org/admin"),
    ("EDI_ADMIN_IDS", "ada"),
    ("EDI_ADMIN_IDS", f"EDI-{'A' * 40}"),
    ("DEBUG", "maybe"),
    ("ALLOWED_HOSTS", "https://registry.example.org"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("PORT", "7000.0"),
    ("WORKERS", "0"),
    ("THREADS", "-4"),
    ("EXPIRES_IN", "0"),
    ("EXPIRES_IN", "-1"),
    ("EXPIRES_IN", "1h"),
    ("EXPIRES_IN", "nan"),
    ("EXPIRES_IN", "99999"),
    ("PERFORMANCE_LISTENER_TOKENS", "perhaps"),
    ("PERFORMANCE_LISTENER_MAX_HOURS", "0"),
    ("PERFORMANCE_LISTENER_MAX_HOURS", "a day"),
    ("EDI_JWT_ISSUER", "auth.edirepository.org"),
    ("EDI_JWT_ISSUER", "ftp://auth.edirepository.org"),
    ("EDI_JWT_ISSUER", "https://["),
    ("EDI_JWT_HOSTED_DOMAIN", "https://edirepository.org"),
    ("EDI_TOKEN_HOURS", "0"),
    ("EDI_TOKEN_HOURS", "8h"),
    ("EDI_REVOCATION_SECONDS", "0"),
    ("PASTA_SYSTEM", "pasta"),
    ("PASTA_SYSTEM", "https://pasta.edirepository.org/a*b"),
    ("LOG_FORMAT", "xml"),
    ("EMAIL_URL", "mail.example.org"),
    ("EMAIL_URL", "smtp://"),
    ("EMAIL_FROM", "nobody"),
    ("NOTIFY_EMAILS", "jane@example.org, joe"),
    ("NOTIFY_WEBHOOK_URL", "hooks.example.org"),
    ("METRICS_ALLOWED_NETWORKS", "everybody"),
    ("CACHE_URL", "memcache://localhost"),
    ("CACHE_URL", "nonsense"),
    ("HTTPS_ONLY", "2"),
    ("TRUSTED_PROXIES", "my-proxy"),
    ("TRUSTED_PROXIES", "10.0.0.0/33"),
    ("TRUSTED_PROXIES", "unix:"),
    ("SCRIPT_NAME", "registry"),
    ("SCRIPT_NAME", "/registry/"),
    ("SCRIPT_NAME", "//registry"),
    ("SCRIPT_NAME", "https://example.org/registry"),
    ("METRICS_ALLOWED_NETWORKS", "unix"),
]


@pytest.mark.parametrize(("name", "value"), NONSENSE)
def test_stops_the_start_with_one_line_that_names_a_value_without_sense(name, value):
    done = python("manage.py", "check", **SECRETS, **{name: value})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"Configuration error: {name} ")
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("name", ["NAMED_TOKEN", "API_KEY", "PUBLISHER"])
def test_stops_for_a_default_lifetime_that_is_too_long(name):
    done = python("manage.py", "check", **SECRETS, **{f"{name}_DEFAULT_LIFETIME": "31d", f"{name}_MAX_LIFETIME": "30d"})
    assert done.returncode == 2
    assert done.stderr == f"Configuration error: {name}_DEFAULT_LIFETIME is longer than {name}_MAX_LIFETIME.\n"


def test_stops_the_server_the_same_way():
    done = python("manage.py", "serve", **SECRETS, EXPIRES_IN="soon")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Configuration error: EXPIRES_IN ")


def test_stops_for_a_value_from_the_file_too(tmp_path):
    (tmp_path / "file").write_text("PORT=http\n")
    done = python("manage.py", "check", **SECRETS, ENV_FILE=str(tmp_path / "file"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("Configuration error: PORT ")


def test_starts_with_nothing_but_secrets():
    done = python("manage.py", "check", **SECRETS)
    assert done.returncode == 0
    assert "ERRORS" not in done.stderr
    assert "System check identified" in done.stdout + done.stderr


def test_has_the_documented_defaults():
    defaults = {
        "DEBUG": False,
        "PORT": 7000,
        "PERFORMANCE_SECRET_KEY": "",
        "PERFORMANCE_PUBLIC_KEY": "",
        "EXPIRES_IN": "1",
        "PERFORMANCE_LISTENER_TOKENS": False,
        "PERFORMANCE_LISTENER_MAX_HOURS": 24,
        "EDI_JWT_ISSUER": "https://auth.edirepository.org",
        "EDI_JWT_HOSTED_DOMAIN": "edirepository.org",
        "EDI_TOKEN_HOURS": 8,
        "PASTA_SYSTEM": "https://pasta.edirepository.org/authentication",
    }
    assert dict(zip(defaults, read(*defaults), strict=True)) == defaults


def test_keeps_data_in_a_file_of_its_own_by_default():
    (databases,) = read("DATABASES")
    assert databases["default"]["NAME"] == str(ROOT / "var" / "registry.sqlite3")


@pytest.mark.parametrize(
    "name", ["EXPIRES_IN", "PORT", "DATABASE_URL", "CACHE_URL", "EDI_JWT_ISSUER", "EDI_TOKEN_HOURS"]
)
def test_takes_an_empty_value_for_the_default(name):
    setting = {"DATABASE_URL": "DATABASES", "CACHE_URL": "CACHES"}.get(name, name)
    assert read(setting, **{name: ""}) == read(setting)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("EXPIRES_IN", "0.5", "0.5"),
        ("EXPIRES_IN", " 2 ", "2"),
        ("DEBUG", "TRUE", True),
        ("DEBUG", "off", False),
        ("PERFORMANCE_LISTENER_TOKENS", "yes", True),
        ("ALLOWED_HOSTS", "a.example, b.example,", ["a.example", "b.example"]),
        ("PERFORMANCE_SECRET_KEY_FALLBACKS", "one,two", ["one", "two"]),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1", ["10.0.0.0/8", "::1"]),
        ("TRUSTED_PROXIES", "unix,10.0.0.1", ["10.0.0.1"]),
        ("STATIC_URL", "", "/static/"),
        ("EDI_JWT_PRIVATE_KEY_PATH", "/run/secrets/edi.pem", "/run/secrets/edi.pem"),
        ("PASTA_PRIVATE_KEY_PATH", "keys/pasta.pem", str(ROOT / "keys" / "pasta.pem")),
    ],
)
def test_reads_a_value(name, value, expected):
    assert read(name, **{name: value}) == [expected]


def test_keeps_a_dollar_sign_in_a_secret(tmp_path):
    (tmp_path / "file").write_text("TOKENS_SECRET_KEY=$HOME\n")
    variables = {"ENV_FILE": str(tmp_path / "file"), "SECRET_KEY": "$ecret"}
    assert read("SECRET_KEY", "TOKENS_SECRET_KEY", **variables) == ["$ecret", "$HOME"]


def test_keeps_a_password_of_the_database_verbatim():
    (databases,) = read("DATABASES", DATABASE_URL="postgres://jane:%24ecret%23@localhost:5433/registry")
    config = databases["default"]
    assert (config["USER"], config["PASSWORD"]) == ("jane", "$ecret#")
    assert (config["HOST"], config["PORT"], config["NAME"]) == ("localhost", 5433, "registry")


@pytest.mark.parametrize(
    ("query", "threshold"), [("", 0), ("?prepare_threshold=none", None), ("?prepare_threshold=9", 0)]
)
def test_prepares_statements_unless_told_otherwise(query, threshold):
    (databases,) = read("DATABASES", DATABASE_URL=f"postgres://jane@localhost/registry{query}")
    assert databases["default"]["OPTIONS"]["prepare_threshold"] == threshold


def test_reads_the_file_that_env_file_names_and_lets_the_environment_win(tmp_path):
    (tmp_path / "file").write_text("EXPIRES_IN=2 # hours\nPORT=7100\n")
    assert read("EXPIRES_IN", "PORT", ENV_FILE=str(tmp_path / "file"), PORT="7200") == ["2", 7200]


def test_starts_without_the_file(tmp_path):
    assert read("PORT", ENV_FILE=str(tmp_path / "missing")) == [7000]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, [True, True, True]),
        ({"HTTPS_ONLY": "false"}, [False, False, False]),
        ({"DEBUG": "true"}, [False, False, False]),
        ({"DEBUG": "true", "HTTPS_ONLY": "true"}, [True, True, True]),
    ],
)
def test_asks_for_https_unless_told_otherwise(variables, expected):
    assert read("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", **variables) == expected


def test_speaks_for_no_other_host_and_no_other_path():
    names = ("SECURE_HSTS_SECONDS", "SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH")
    assert read(*names, SCRIPT_NAME="/registry") == [365 * 24 * 3600, "/registry/", "/registry/"]
    assert read(*names) == [365 * 24 * 3600, "/", "/"]
