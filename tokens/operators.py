"""The verbs of operators: signing in, the second factor, and what superusers change. Each with its audit event."""

import base64
import secrets
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Value
from django_otp.plugins.otp_totp.models import TOTPDevice

from tokens.core import audit
from tokens.core.audit import Actor
from tokens.core.errors import Forbidden, Invalid, NotFound
from tokens.core.models import digest
from tokens.models import Operator, OperatorPolicy, RecoveryCodes, plain_code


class Action(audit.Action):
    """What is done to operators, and by them."""

    ADD = "tokens:operator:add"
    UPDATE = "tokens:operator:update"
    SIGN_IN = "tokens:operator:sign_in"
    CHANGE_PASSWORD = "tokens:operator:change_password"  # noqa: S105 — a name
    SWITCH_ON_SECOND_FACTOR = "tokens:operator:switch_on_second_factor"
    SWITCH_OFF_SECOND_FACTOR = "tokens:operator:switch_off_second_factor"
    MAKE_RECOVERY_CODES = "tokens:operator:make_recovery_codes"
    USE_RECOVERY_CODE = "tokens:operator:use_recovery_code"


RECOVERY_CODES = 10


def with_first_password() -> Operator | None:
    """An operator who still signs in with the password that the first run printed."""
    for policy in OperatorPolicy.objects.exclude(first_password="").select_related("user"):
        if policy.user.is_active and digest(policy.user.password) == policy.first_password:
            return named(policy.user.get_username())
    return None


def record(
    action: Action, operator_id: Any, *, actor: Actor, before: dict[str, Any] | None = None, reason: str = ""
) -> None:
    """Record that `action` was done to an operator; nothing where `before` says that nothing changed."""
    row = Operator.objects.get(pk=operator_id)
    if before is None or before != audit.snapshot(row):
        audit.record(action, row, actor=actor, before=before, reason=reason)


def named(username: str) -> Operator:
    """The operator of that name. Raises `NotFound`."""
    row = Operator.objects.filter(username=username).first()
    if row is None:
        raise NotFound(f"There is no operator named {username!r}.")
    return row


def is_last_superuser(row: Operator) -> bool:
    """Whether nobody but this operator, as stored, could manage operators.

    Those who could are locked until the transaction ends, or two who take that from each other would leave nobody.
    """
    # Without their keys, here and below: a log that names somebody who is being changed waits for nothing.
    superusers = Operator.objects.filter(is_active=True, is_staff=True, is_superuser=True).order_by("pk")
    return [one.pk for one in superusers.select_for_update(no_key=True)] == [row.pk]


def update(row: Operator, changes: Mapping[str, Any], *, actor: Actor) -> None:
    """Set fields of an operator, `groups` and `must_have_second_factor`; nothing else of what is stored changes."""
    given = dict(changes)
    with transaction.atomic():
        stored = Operator.objects.select_for_update(no_key=True).get(pk=row.pk)
        before = audit.snapshot(stored)
        if "groups" in given:
            stored.groups.set(given.pop("groups"))
        if "must_have_second_factor" in given:
            policy = {"must_have_second_factor": given.pop("must_have_second_factor")}
            OperatorPolicy.objects.update_or_create(user_id=row.pk, defaults=policy)
        for name, value in given.items():
            setattr(stored, name, value)
        stored.save(update_fields=list(given))
        record(Action.UPDATE, row.pk, actor=actor, before=before)


def is_factor_required(row: Operator) -> bool:
    """Whether the settings, or a superuser, require a second factor of this operator."""
    return settings.SECOND_FACTOR_REQUIRED or row.must_have_second_factor


def with_factors(rows: QuerySet[Operator]) -> QuerySet[Operator]:
    """`rows`, each with `has_factor` and `is_factor_required`: whether it has a second factor, and has to have one."""
    devices = TOTPDevice.objects.filter(user_id=OuterRef("pk"), confirmed=True)
    policies = OperatorPolicy.objects.filter(user_id=OuterRef("pk"), must_have_second_factor=True)
    is_required = Value(True) if settings.SECOND_FACTOR_REQUIRED else Exists(policies)
    return rows.annotate(has_factor=Exists(devices), is_factor_required=is_required)


def factor_of(operator_id: Any) -> tuple[bool, bool]:
    """Whether an operator has a second factor, and whether one is required of them, in one query."""
    rows: Any = with_factors(Operator.objects.filter(pk=operator_id))
    has_factor, is_required = rows.values_list("has_factor", "is_factor_required").get()
    return has_factor, is_required


def pending_device(row: Operator) -> TOTPDevice:
    """The device that this operator is setting up: made when first asked for, of no effect until it is confirmed."""
    with transaction.atomic():
        # Nothing in the library's table keeps two pages that are opened at once from making a device each.
        Operator.objects.select_for_update().get(pk=row.pk)
        devices = TOTPDevice.objects.filter(user_id=row.pk, confirmed=False).order_by("pk")
        device: TOTPDevice | None = devices.first()
        return device or TOTPDevice.objects.create(user_id=row.pk, confirmed=False, name="authenticator")


def switch_on_second_factor(row: Operator, code: str, *, actor: Actor) -> tuple[TOTPDevice, list[str]]:
    """Take the pending device into use if `code` comes from it; also give, this once, recovery codes.

    Raises `Invalid`.
    """
    with transaction.atomic():
        before = audit.snapshot(row)
        device = pending_device(row)
        if device.verify_token(code):
            device.confirmed = True
            device.save(update_fields=["confirmed"])
            codes = _fresh_codes(row)
            audit.record(Action.SWITCH_ON_SECOND_FACTOR, row, actor=actor, before=before)
            return device, codes
    raise Invalid("code", "That code is not right, or it is too old.")


def switch_off_second_factor(row: Operator, *, actor: Actor, reason: str = "") -> None:
    """Forget the devices of an operator. Raises `Forbidden` where the second factor is required of those who ask."""
    with transaction.atomic():
        if is_factor_required(row) and actor.id == str(row.pk):
            raise Forbidden("You need a second factor.")
        before = audit.snapshot(row)
        TOTPDevice.objects.filter(user_id=row.pk).delete()
        RecoveryCodes.objects.filter(user_id=row.pk).delete()
        record(Action.SWITCH_OFF_SECOND_FACTOR, row.pk, actor=actor, before=before, reason=reason)


def make_recovery_codes(row: Operator, *, actor: Actor) -> list[str]:
    """Fresh recovery codes, shown this once; those of before end. Raises `Forbidden` without a second factor."""
    with transaction.atomic():
        if not row.has_second_factor:
            raise Forbidden("There is no second factor that could be lost.")
        codes = _fresh_codes(row)
        audit.record(Action.MAKE_RECOVERY_CODES, row, actor=actor)
    return codes


def verify_code(row: Operator, code: str) -> TOTPDevice | None:
    """The device that shows `code` now; None for a wrong code, and for any while mistakes are being waited off."""
    with transaction.atomic():
        devices = TOTPDevice.objects.filter(user_id=row.pk, confirmed=True).select_for_update()
        return next((device for device in devices if device.verify_token(code)), None)


def use_recovery_code(row: Operator, code: str, *, actor: Actor) -> RecoveryCodes | None:
    """The recovery codes that `code` was one of, until now; None for a wrong code, as `verify_code` has it."""
    with transaction.atomic():
        rows = RecoveryCodes.objects.filter(user_id=row.pk).select_for_update()
        codes: RecoveryCodes | None = rows.first()
        before = audit.snapshot(row)
        if codes is None or not codes.verify_token(code):
            return None
        audit.record(Action.USE_RECOVERY_CODE, row, actor=actor, before=before)
        return codes


def fresh_code() -> str:
    """A recovery code: 80 random bits, in letters and digits that nobody takes for one another."""
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[begin : begin + 4] for begin in range(0, len(text), 4))


def _fresh_codes(row: Operator) -> list[str]:
    codes = [fresh_code() for _ in range(RECOVERY_CODES)]
    # The row stays: whoever signed in with one of the old codes goes on.
    RecoveryCodes.objects.update_or_create(
        user_id=row.pk, defaults={"name": "recovery codes", "digests": [digest(plain_code(code)) for code in codes]}
    )
    return codes
