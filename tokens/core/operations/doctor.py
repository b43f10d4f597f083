"""What is wrong with this installation, in words, and how to mend it: the `doctor` command shows it.

Each examination yields findings. Django's system checks and the readiness probes are two of them; the rest looks where
neither may: at files, at addresses that contradict each other, at the mail server.
"""

import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks, mail
from django.db import connection
from django.http.request import split_domain_port, validate_host

from tokens.core.operations import health

MIN_FREE_BYTES = 200 * 1024 * 1024
Verdict = Literal["ok", "attention", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what it is like, and what to do about it."""

    subject: str
    verdict: Verdict
    words: str
    remedy: str = ""


# What to do about a probe that fails.
REMEDIES = {
    "migrations": "Run: manage.py migrate",
    "clock": "Have the machines' clocks set by NTP.",
    "cache": "Is Redis running, and is CACHE_URL right?",
}


def settings_checks() -> Iterator[Finding]:
    """Django's system checks, those for production included, each with its hint; none that the settings silence."""
    messages = [one for one in checks.run_checks(include_deployment_checks=not settings.DEBUG) if not one.is_silenced()]
    for message in messages:
        verdict: Verdict = "broken" if message.level >= checks.ERROR else "attention"
        yield Finding("settings", verdict, str(message.msg).splitlines()[0], str(message.hint or ""))
    if not messages:
        yield Finding("settings", "ok", "no check complains")
    if settings.DEBUG:
        yield Finding("settings", "attention", "DEBUG shows source code to whoever causes an error.", "DEBUG=false")


def probes() -> Iterator[Finding]:
    """The readiness probes, without those of a process that serves."""
    report = health.report(is_serving=False)
    for name, words in report.found.items():
        verdict: Verdict = "broken" if name in report.failed else "ok" if words == health.OK else "attention"
        yield Finding(name.replace("_", " "), verdict, words, _remedy(name) if verdict != "ok" else "")


def _remedy(probe: str) -> str:
    """What to do about a probe that fails: of all others, one that looks for a signing key."""
    if probe == "database":
        return _remedy_of_database()
    return REMEDIES.get(probe, "Put it back from your copy. If there never was one: manage.py init")


def _remedy_of_database() -> str:
    """Where the database is looked for, without its password, and what may be wrong there."""
    place = connection.settings_dict
    if connection.vendor == "sqlite":
        return (
            f"It is looked for at {place['NAME']}. Is DATABASE_URL right, does the folder exist, may this user write "
            "there? If it is damaged or gone: manage.py restore COPY --yes. If there never was one: manage.py init"
        )
    host = f"--host {place['HOST'] or 'localhost'} --port {place['PORT'] or 5432}"
    return (
        f"Does it run: pg_isready {host}? Is DATABASE_URL right, and may {place['USER'] or 'this user'} sign in to "
        f"{place['NAME']}? Does it allow enough connections?"
    )


def secret_files() -> Iterator[Finding]:
    """Nobody but the owner may read what holds secrets."""
    paths = [settings.ENV_FILE]
    if not settings.ENV_FILE.is_file() and not settings.TOKENS_SECRET_KEY:
        yield Finding(
            settings.ENV_FILE.name,
            "broken",
            f"There is no file {settings.ENV_FILE}, and the environment has no secrets either.",
            "ENV_FILE names another file. Put it back from your copy; without one, manage.py init makes new secrets, "
            "and every token ends.",
        )
    if connection.vendor == "sqlite":
        paths.append(Path(str(connection.settings_dict["NAME"])))
    for path in paths:
        if path.is_file():
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                yield Finding(path.name, "attention", f"Others may read it (mode {mode:o}).", f"chmod 600 {path}")
            else:
                yield Finding(path.name, "ok", f"mode {mode:o}")


def disk() -> Iterator[Finding]:
    """There is room for the embedded database to grow."""
    if connection.vendor != "sqlite":
        return
    folder = Path(str(connection.settings_dict["NAME"])).parent
    if not folder.is_dir():
        yield Finding("disk", "broken", f"There is no folder {folder}.", f"mkdir -p {folder}")
        return
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        yield Finding("disk", "attention", f"{free // 2**20} MiB are free at {folder}.", "Make room.")
    else:
        yield Finding("disk", "ok", f"{free // 2**20} MiB free")


def static_files() -> Iterator[Finding]:
    """The files of the admin are where the server looks for them."""
    if settings.WHITENOISE_USE_FINDERS:
        yield Finding("static files", "ok", "served from the packages")
    elif (settings.STATIC_ROOT / "staticfiles.json").is_file():
        yield Finding("static files", "ok", f"collected in {settings.STATIC_ROOT}")
    else:
        words = f"Nothing was collected in {settings.STATIC_ROOT} (STATIC_ROOT): the admin answers 500."
        yield Finding("static files", "broken", words, "Run: manage.py collectstatic --no-input")


def proxy() -> Iterator[Finding]:
    """What the settings say of the proxy in front fits together."""
    complaints = False
    if settings.HTTPS_ONLY and not (settings.TRUSTED_PROXIES or settings.TRUSTS_UNIX_SOCKET):
        complaints = True
        yield Finding(
            "proxy",
            "attention",
            "HTTPS_ONLY is on and TRUSTED_PROXIES names nobody: behind a proxy on another machine the admin redirects "
            "for ever, and all clients seem to have one address.",
            "Name the proxy's address in TRUSTED_PROXIES (unix if it connects to a Unix socket), or set "
            "HTTPS_ONLY=false where there is no TLS.",
        )
    for origin in settings.CSRF_TRUSTED_ORIGINS:
        host, _ = split_domain_port(urlsplit(origin).netloc)
        if not validate_host(host, settings.ALLOWED_HOSTS):
            complaints = True
            yield Finding(
                "proxy", "broken", f"The admin is trusted at {origin}, but answers 400 there.", f"ALLOWED_HOSTS={host}"
            )
    if not complaints:
        yield Finding("proxy", "ok", "settings agree")


def mail_server() -> Iterator[Finding]:
    """The mail server takes a connection."""
    if not settings.EMAIL_HOST:
        if settings.NOTIFY_EMAILS:
            words = "NOTIFY_EMAILS names operators, but there is no mail server to reach them by."
            yield Finding("mail", "attention", words, "Name one in EMAIL_URL.")
        else:
            yield Finding("mail", "ok", "none is set; EMAIL_URL names one")
        return
    try:
        backend = mail.get_connection()
        backend.open()
        backend.close()
    except OSError as exc:
        words = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT} takes no connection ({type(exc).__name__})."
        yield Finding("mail", "broken", words, "Is EMAIL_URL right, and does the mail server know this machine?")
    else:
        yield Finding("mail", "ok", f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT} answers")


EXAMINATIONS: tuple[Callable[[], Iterator[Finding]], ...] = (
    settings_checks,
    probes,
    secret_files,
    disk,
    static_files,
    proxy,
    mail_server,
)


def examine() -> list[Finding]:
    """All findings."""
    return [finding for examination in EXAMINATIONS for finding in examination()]
