"""What operators do to rows in the admin, one row or a selection at a time.

A `Verb` asks what it needs to know on a page that says what will happen, then calls a service for each row. Who may
use it is a permission of its own, `<app>.<permission>_<model>`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.http import HttpRequest

from tokens.core import kinds
from tokens.core.admin.forms import ExpiryForm, GraceForm, NothingForm, ReasonForm
from tokens.core.audit import Actor
from tokens.core.http import client_address, request_id
from tokens.core.models import Recorded

if TYPE_CHECKING:
    from tokens.core.admin.registry import RegistryAdmin

# More rows than this are no selection that somebody has looked at.
MAX_SELECTED = 500


def operator(request: HttpRequest) -> Actor:
    """The signed-in operator, as the audit log names them."""
    return Actor(
        kind="operator",
        channel="admin",
        id=str(request.user.pk),
        label=request.user.get_username(),
        address=client_address(request),
        request_id=request_id(request),
    )


@dataclass(frozen=True, slots=True)
class Verb:
    """Something operators do to rows.

    `do` calls the service for one row and returns its new secret, empty where there is none. `applies` tells whether
    there is anything to do for a row.
    """

    name: str
    label: str
    done: str
    explanation: str
    permission: str
    icon: str
    do: Callable[["RegistryAdmin", HttpRequest, Any, dict[str, Any]], str]
    applies: Callable[[Any], bool]
    form: type[forms.Form] = NothingForm
    is_ending: bool = False
    max_selected: int = MAX_SELECTED


def _revoke(_admin: "RegistryAdmin", request: HttpRequest, row: Recorded, data: dict[str, Any]) -> str:
    kinds.get(row.kind).revoke(row, operator(request), data["reason"])
    return ""


def _changing(**changes: Any) -> Callable[["RegistryAdmin", HttpRequest, Any, dict[str, Any]], str]:
    def do(admin: "RegistryAdmin", request: HttpRequest, row: Any, data: dict[str, Any]) -> str:
        admin.change(request, row, {**changes, **{name: data[name] for name in data if name == "expires_at"}})
        return ""

    return do


def _locking(is_locked: bool) -> Callable[["RegistryAdmin", HttpRequest, Any, dict[str, Any]], str]:
    def do(admin: "RegistryAdmin", request: HttpRequest, row: Any, data: dict[str, Any]) -> str:
        admin.set_locked(request, row, is_locked, data["reason"])
        return ""

    return do


def _end_tokens(admin: "RegistryAdmin", request: HttpRequest, row: Any, data: dict[str, Any]) -> str:
    admin.end_tokens(request, row, data["reason"])
    return ""


ROTATE = Verb(
    name="rotate",
    label="Rotate",
    done="Rotated",
    explanation="There will be a new secret, shown once. The old one goes on working as long as you say.",
    permission="rotate",
    icon="autorenew",
    do=lambda admin, request, row, data: admin.rotate(request, row, data["grace"]),
    applies=lambda row: row.revoked_at is None,
    form=GraceForm,
    max_selected=50,
)
EXTEND = Verb(
    name="extend",
    label="Extend",
    done="Extended",
    explanation="It will be valid until the moment that you choose, and keep its secret.",
    permission="extend",
    icon="more_time",
    do=_changing(),
    applies=lambda row: row.revoked_at is None,
    form=ExpiryForm,
)
SWITCH_OFF = Verb(
    name="switch_off",
    label="Switch off",
    done="Switched off",
    explanation="Every door refuses it from now on, until somebody switches it on again.",
    permission="switch",
    icon="toggle_off",
    do=_changing(is_active=False),
    applies=lambda row: row.revoked_at is None and row.is_active,
    is_ending=True,
)
SWITCH_ON = Verb(
    name="switch_on",
    label="Switch on",
    done="Switched on",
    explanation="It works again, with the secret that it had.",
    permission="switch",
    icon="toggle_on",
    do=_changing(is_active=True),
    applies=lambda row: row.revoked_at is None and not row.is_active,
)
REVOKE = Verb(
    name="revoke",
    label="Revoke",
    done="Revoked",
    explanation="Every door refuses it from now on, for good. It stays on record.",
    permission="revoke",
    icon="block",
    do=_revoke,
    applies=lambda row: row.revoked_at is None,
    form=ReasonForm,
    is_ending=True,
)
LOCK = Verb(
    name="lock",
    label="Lock",
    done="Locked",
    explanation="Its API keys are refused at once, and its tokens are not renewed any more, until it is unlocked.",
    permission="lock",
    icon="lock",
    do=_locking(True),
    applies=lambda row: row.locked_at is None,
    form=ReasonForm,
    is_ending=True,
)
UNLOCK = Verb(
    name="unlock",
    label="Unlock",
    done="Unlocked",
    explanation="Its API keys work again, and its tokens are renewed again.",
    permission="lock",
    icon="lock_open",
    do=_locking(False),
    applies=lambda row: row.locked_at is not None,
    form=ReasonForm,
)
END_TOKENS = Verb(
    name="end_tokens",
    label="End all tokens",
    done="Ended all tokens of",
    explanation="No token that was given out until now is renewed any more. API keys go on working and give new ones.",
    permission="end_tokens",
    icon="logout",
    do=_end_tokens,
    applies=lambda _row: True,
    form=ReasonForm,
    is_ending=True,
)
ALL: Sequence[Verb] = (ROTATE, EXTEND, SWITCH_OFF, SWITCH_ON, REVOKE, LOCK, UNLOCK, END_TOKENS)
