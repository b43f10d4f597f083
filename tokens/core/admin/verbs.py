"""What operators do to rows in the admin, one row or a selection at a time.

A `Verb` asks what it needs to know on a page that says what will happen, then calls a service for each row. Who may
use it is a permission of its own, `<app>.<permission>_<model>`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest

from tokens.core.admin.forms import ExpiryForm, GraceForm, NothingForm, ReasonForm
from tokens.core.audit import Actor
from tokens.core.http import client_address, request_id

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


def is_live(row: Any) -> bool:
    """Whether `row` was not revoked."""
    return row.revoked_at is None


@dataclass(frozen=True, slots=True)
class Verb:
    """Something operators do to rows.

    `method` names the method of the admin that does it to one row, and returns its new secret or nothing. It is called
    with the request, the row, and the `arguments` that are in what the form asked. `applies` tells whether there is
    anything to do for a row, `is_done` whether there is nothing left to do after all, given what the form asked.
    """

    name: str
    label: str
    done: str
    explanation: str
    permission: str
    icon: str
    method: str
    arguments: Callable[[dict[str, Any]], tuple[Any, ...]]
    applies: Callable[[Any], bool] = is_live
    is_done: Callable[[Any, dict[str, Any]], bool] = lambda _row, _data: False
    form: type[forms.Form] = NothingForm
    is_ending: bool = False
    max_selected: int = MAX_SELECTED

    def do(self, admin: Any, request: HttpRequest, row: Any, data: dict[str, Any]) -> str:
        """Do it to `row`, and return its new secret, empty where there is none. Raises a `RegistryError`."""
        return getattr(admin, self.method)(request, row, *self.arguments(data)) or ""


ROTATE = Verb(
    name="rotate",
    label="Rotate",
    done="Rotated",
    explanation="There will be a new secret, shown once. The old one goes on working as long as you say.",
    permission="rotate",
    icon="autorenew",
    method="rotate",
    arguments=lambda data: (data["grace"],),
    form=GraceForm,
    max_selected=50,
)
EXTEND = Verb(
    name="extend",
    label="Extend",
    done="Extended",
    explanation="It will be valid until the moment that you choose, and keep its secret. What ends later stays so.",
    permission="extend",
    icon="more_time",
    method="change",
    arguments=lambda data: ({"expires_at": data["expires_at"]},),
    applies=lambda row: is_live(row) and row.expires_at is not None,
    is_done=lambda row, data: row.expires_at >= data["expires_at"],
    form=ExpiryForm,
)
SWITCH_OFF = Verb(
    name="switch_off",
    label="Switch off",
    done="Switched off",
    explanation="It will be refused everywhere from now on, until somebody switches it on again.",
    permission="switch",
    icon="toggle_off",
    method="change",
    arguments=lambda _data: ({"is_active": False},),
    applies=lambda row: is_live(row) and row.is_active,
    is_ending=True,
)
SWITCH_ON = Verb(
    name="switch_on",
    label="Switch on",
    done="Switched on",
    explanation="It works again, with the secret that it had.",
    permission="switch",
    icon="toggle_on",
    method="change",
    arguments=lambda _data: ({"is_active": True},),
    applies=lambda row: is_live(row) and not row.is_active,
)
REVOKE = Verb(
    name="revoke",
    label="Revoke",
    done="Revoked",
    explanation="It will be refused everywhere from now on, for good. It stays on record.",
    permission="revoke",
    icon="block",
    method="revoke",
    arguments=lambda data: (data["reason"],),
    form=ReasonForm,
    is_ending=True,
)
# All that can be done to a `RotatableCredential`.
ROTATABLE_VERBS = (ROTATE, EXTEND, SWITCH_OFF, SWITCH_ON, REVOKE)
LOCK = Verb(
    name="lock",
    label="Lock",
    done="Locked",
    explanation="Its API keys are refused at once, and its tokens are no longer renewed, until it is unlocked.",
    permission="lock",
    icon="lock",
    method="set_locked",
    arguments=lambda data: (True, data["reason"]),
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
    method="set_locked",
    arguments=lambda data: (False, data["reason"]),
    applies=lambda row: row.locked_at is not None,
    form=ReasonForm,
)
END_TOKENS = Verb(
    name="end_tokens",
    label="End all tokens",
    done="Ended all tokens of",
    explanation="No token that was given out so far is renewed any more. API keys still work and give new ones.",
    permission="end_tokens",
    icon="logout",
    method="end_tokens",
    arguments=lambda data: (data["reason"],),
    applies=lambda _row: True,
    form=ReasonForm,
    is_ending=True,
)
