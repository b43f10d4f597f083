"""Reading settings from the environment: one function per sort of value, each refusing what makes no sense."""

import io
import os
import re
import sys
import warnings
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from tokens.core.addresses import is_network

REMARK = re.compile(r"""(?m)^((?:export )?\w+=(?:'[^'\n]*'|"[^"\n]*"|[^'"\n].*?|))[ \t]+#.*$""")
LINE = re.compile(r"(?:export )?[A-Za-z_0-9]+=[^\0]*|\s*(?:#.*)?")
HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9a-fA-F:.]+\]")
TRUE, FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off", ""}


def load(path: Path) -> None:
    """Read `path` into the environment, where a variable that is set already wins.

    A blank and a `#` begin a remark; django-environ by itself would keep the remark, or end `a#b` at `a`. Raises
    `ImproperlyConfigured` for a line that sets nothing, which django-environ would write to the log, secret and all.
    """
    if path.is_dir():
        raise ImproperlyConfigured(f"{path} is a folder.")
    if not path.is_file():
        return
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{path} is not UTF-8.") from None
    except OSError as exc:
        raise ImproperlyConfigured(f"{path} cannot be read: {exc.strerror}.") from None
    for number, line in enumerate(lines, start=1):
        if not LINE.fullmatch(line):
            raise ImproperlyConfigured(f"{path}: line {number} is neither NAME=value nor a comment.")
    content = REMARK.sub(r"\1", "\n".join(line.strip() for line in lines))
    environ.Env.read_env(io.StringIO(content))


def text(name: str, default: str = "") -> str:
    """The raw text of `name`. (`Env.str` takes a value that starts with `$` for a reference.)"""
    return os.environ.get(name, default).strip()


def texts(name: str, default: str = "") -> list[str]:
    """The comma-separated values of `name`, empty ones left out."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def alike(name: str, pattern: str, words: str, default: str = "") -> list[str]:
    """The comma-separated values of `name`; raises `ImproperlyConfigured` unless each fits `pattern`, in `words`."""
    values = texts(name, default)
    if not all(re.fullmatch(pattern, value) for value in values):
        raise ImproperlyConfigured(f"{name} must be {words}, separated by commas.")
    return values


def boolean(name: str, default: bool) -> bool:
    """`name` as a truth value; raises `ImproperlyConfigured` for anything but a plain yes or no."""
    value = text(name, str(default)).lower()
    if value not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} is neither true nor false.")
    return value in TRUE


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """`name` as a whole number from `low` to `high`; raises `ImproperlyConfigured` otherwise."""
    value = text(name) or str(default)
    if not re.fullmatch(r"-?[0-9]{1,9}", value) or not low <= int(value) <= high:
        raise ImproperlyConfigured(f"{name} must be a whole number from {low} to {high}.")
    return int(value)


def hours(name: str, default: str, *, high: int) -> str:
    """`name` as a positive number of hours, kept as the text that was given (`"1"`, `"0.5"`)."""
    value = text(name) or default
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", value) or not 0 < float(value) <= high:
        raise ImproperlyConfigured(f"{name} must be a number of hours above 0 and at most {high}.")
    return value


def lifetime(name: str) -> timedelta | None:
    """`name` as a number of days or hours (`90d`, `12h`); None when it is empty."""
    value = text(name)
    if not value:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,4})([dh])", value)
    if match is None:
        raise ImproperlyConfigured(f"{name} must be a number of days or hours, such as 90d or 12h, or empty.")
    return timedelta(days=int(match[1])) if match[2] == "d" else timedelta(hours=int(match[1]))


def lifetimes(name: str) -> tuple[timedelta | None, timedelta | None]:
    """`name`_DEFAULT_LIFETIME and `name`_MAX_LIFETIME; raises `ImproperlyConfigured` where the first is longer."""
    default, longest = lifetime(f"{name}_DEFAULT_LIFETIME"), lifetime(f"{name}_MAX_LIFETIME")
    if default is not None and longest is not None and default > longest:
        raise ImproperlyConfigured(f"{name}_DEFAULT_LIFETIME is longer than {name}_MAX_LIFETIME.")
    return default, longest


def http_url(name: str, default: str) -> str:
    """`name` as an http(s) URL without stars or blanks; raises `ImproperlyConfigured` otherwise."""
    value = text(name) or default
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s*]*)?", value):
        raise ImproperlyConfigured(f"{name} must be an http or https URL.")
    return value


def host(name: str, default: str) -> str:
    """`name` as a host or domain name; raises `ImproperlyConfigured` otherwise."""
    value = text(name) or default
    if not HOST.fullmatch(value):
        raise ImproperlyConfigured(f"{name} must be a domain name.")
    return value


def hosts(name: str, default: str) -> list[str]:
    """The comma-separated host names of `name`, as Django's `ALLOWED_HOSTS` has them (`*`, `.example.org`)."""
    return alike(name, rf"\*|\.?({HOST.pattern})", "host names", default)


def networks(name: str, default: str = "") -> list[str]:
    """The comma-separated addresses and CIDR ranges of `name`; raises `ImproperlyConfigured` for anything else."""
    return _networks(name, texts(name, default))


def proxies(name: str) -> tuple[list[str], bool]:
    """The addresses and CIDR ranges of `name`, and whether `unix` is among them: whoever uses a Unix socket."""
    values = texts(name)
    return _networks(name, [value for value in values if value != "unix"]), "unix" in values


def _networks(name: str, values: list[str]) -> list[str]:
    if not all(map(is_network, values)):
        raise ImproperlyConfigured(f"{name} must be addresses or networks, such as 192.0.2.0/24.")
    return values


def prefix(name: str) -> str:
    """`name` as what all paths begin with (`/registry`), or nothing; raises `ImproperlyConfigured` otherwise."""
    value = text(name)
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", value):
        raise ImproperlyConfigured(f"{name} must be the beginning of a path, such as /registry.")
    return value


def path(name: str, default: str, *, base: Path) -> Path:
    """`name` as a path, relative ones below `base`."""
    return base / Path(text(name) or default).expanduser()


@dataclass(frozen=True, slots=True, repr=False)
class Mail:
    """A mail server; without a host mail goes nowhere."""

    backend: str = "django.core.mail.backends.dummy.EmailBackend"
    host: str = ""
    port: int = 25
    user: str = ""
    password: str = ""
    use_tls: bool = False
    use_ssl: bool = False


def mail(name: str) -> Mail:
    """The mail server that `name` describes; raises `ImproperlyConfigured` for what is no mail URL."""
    value = text(name)
    if not value:
        return Mail()
    ports = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = parts = None
    if parts is None or not host or parts.scheme not in ports:
        raise ImproperlyConfigured(f"{name} must be smtp://, smtp+tls:// or smtp+ssl:// and a host.")
    return Mail(
        backend="django.core.mail.backends.smtp.EmailBackend",
        host=host,
        port=port or ports[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        use_tls=parts.scheme == "smtp+tls",
        use_ssl=parts.scheme == "smtp+ssl",
    )


def addresses(name: str) -> list[str]:
    """The comma-separated e-mail addresses of `name`; raises `ImproperlyConfigured` for anything else."""
    return alike(name, r"[^\s@<>]+@[^\s@<>]+", "e-mail addresses")


def log_format(name: str) -> str:
    """`name` as `json` or `text`; when it is empty, text on a terminal and JSON elsewhere."""
    value = text(name).lower() or ("text" if sys.stderr is not None and sys.stderr.isatty() else "json")
    if value not in {"json", "text"}:
        raise ImproperlyConfigured(f"{name} must be json or text, or empty.")
    return value


def cache(name: str) -> dict[str, Any]:
    """The Django cache that `name` describes: a Redis URL, or memory of this process when empty."""
    value = text(name) or "locmemcache://"
    if urlsplit(value).scheme not in {"redis", "rediss", "locmemcache"}:
        raise ImproperlyConfigured(f"{name} must be a redis:// or rediss:// URL, or empty.")
    config = dict(environ.Env.cache_url_config(value))
    if not value.startswith("locmem"):
        config.setdefault("OPTIONS", {}).update({"socket_timeout": 0.5, "socket_connect_timeout": 0.5})
    return config


def database(name: str, default: str, *, base: Path, threads: int) -> dict[str, Any]:
    """The Django database that `name` describes.

    PostgreSQL gets a pool of at most `threads` connections a process; SQLite gets write-ahead logging, full
    synchronisation (an acknowledged write survives a power cut) and immediate transactions. Neither keeps a request
    waiting for two seconds.
    """
    url = text(name) or default
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = dict(environ.Env.db_url_config(url))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ImproperlyConfigured(f"{name} is not a database URL.") from None
    engine = config.get("ENGINE")
    options = config.setdefault("OPTIONS", {})
    if engine == "django.db.backends.postgresql":
        if not (config["NAME"] or options.get("service")):
            raise ImproperlyConfigured(f"{name} names no database: postgres://user:password@host/name")
        config |= {"CONN_MAX_AGE": 0, "ENGINE": "tokens.core.postgresql"}
        # What the server has not confirmed after so many milliseconds never will be; keepalives find idle ones.
        for option, value in {"connect_timeout": 2, "tcp_user_timeout": 2000, "keepalives_idle": 10}.items():
            options.setdefault(option, value)
        # The server reads values apart from the statement: a tenth less work here than writing them into it.
        options["server_side_binding"] = True
        # Which statements are prepared says `Repeated`; for a pooler that cannot keep them, none are.
        options["prepare_threshold"] = None if str(options.get("prepare_threshold", 0)).lower() == "none" else 0
        # The pool gives up after `reconnect_timeout`; longer, and its pauses between attempts grow to minutes.
        options["pool"] = {"min_size": 1, "max_size": threads, "timeout": 1.5, "reconnect_timeout": 1}
    elif engine == "django.db.backends.sqlite3":
        # With fewer slashes the name, or its beginning, counts as a host and is lost: what is left may be no file.
        if not re.match("(?i)sqlite:///[^?]", url) or config["NAME"] == ":memory:":
            raise ImproperlyConfigured(f"{name} names no file: sqlite:///relative/path or sqlite:////absolute/path")
        config |= {"CONN_MAX_AGE": None, "NAME": str(base / config["NAME"])}
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 1.5,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=1500;",
        }
    else:
        raise ImproperlyConfigured(f"{name} must be a postgres:// or sqlite:// URL.")
    return config
