"""What a service may raise: a catalogue of typed errors that know nothing of HTTP, admin or command line."""

from django.db import InterfaceError, InternalError, OperationalError

# What Django raises while the database is away or cannot be written. (PostgreSQL calls it an internal error to write
# while it is read-only.)
OUTAGES = (OperationalError, InterfaceError, InternalError)


class RegistryError(Exception):
    """The base of all refusals. Its message is a sentence for the caller and never holds a credential."""


class Invalid(RegistryError):
    """An input that makes no sense; `field` is its documented name, `detail` may say more."""

    def __init__(self, field: str, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.detail = detail


class NotFound(RegistryError):
    """There is no such thing."""


class AlreadyExists(RegistryError):
    """The name is taken; what is stored stays untouched."""


class InvalidCredential(RegistryError):
    """The credential that was presented is unknown, malformed, expired or otherwise not usable."""


class Forbidden(RegistryError):
    """The credential is genuine, but it may not do this (or may do nothing any more)."""


class NotConfigured(RegistryError):
    """A secret or key file that this needs is not there; its message names the setting, never a value."""


class TooManyFailures(RegistryError):
    """Too much was asked from one address; `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many requests from this address; try again later.")
        self.retry_after = retry_after


class Unavailable(RegistryError):
    """Something this needs is away for the moment; trying again later is right."""
