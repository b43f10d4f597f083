"""System checks of this app, one function and one id each."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

KEY_FILES = ("EDI_JWT_PRIVATE_KEY_PATH", "PASTA_PRIVATE_KEY_PATH")
# As long as an API key is random: 160 bits.
SERVICE_KEY_BYTES = 20


@register(Tags.security)
def check_key_files(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`edi_auth.W001`: a key file is missing."""
    return [
        Warning(
            f"{name} names no file ({_path(name).name}): /auth/v1 answers 500.",
            hint="Run: manage.py generate_keys",
            id="edi_auth.W001",
        )
        for name in KEY_FILES
        if not _path(name).is_file()
    ]


@register(Tags.security)
def check_key_permissions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`edi_auth.W002`: a key file can be read by others."""
    return [
        Warning(
            f"{name} ({_path(name).name}) can be read by other users of this machine.",
            hint="chmod 600 the file.",
            id="edi_auth.W002",
        )
        for name in KEY_FILES
        if _path(name).is_file() and _path(name).stat().st_mode & 0o077
    ]


@register(Tags.security)
def check_service_key(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`edi_auth.W003`: EDI_SERVICE_KEY is short."""
    if not 0 < len(settings.EDI_SERVICE_KEY.encode()) < SERVICE_KEY_BYTES:
        return []
    words = (
        f"EDI_SERVICE_KEY is shorter than {SERVICE_KEY_BYTES} bytes: whoever guesses it makes tokens for any profile."
    )
    return [Warning(words, hint="Give the service a longer one, of random characters.", id="edi_auth.W003")]


def _path(name: str) -> Path:
    return Path(getattr(settings, name))
