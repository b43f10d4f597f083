"""The verbs of operators: signing in, the second factor, and what superusers change. Each with its audit event."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django_otp.plugins.otp_totp.models import TOTPDevice

from tokens.core import audit
from tokens.core.audit import Actor
from tokens.core.errors import Forbidden, Invalid, NotFound
from tokens.core.models import digest
from tokens.models import Operator, OperatorPolicy


class Action(audit.Action):
    """What is done to operators, and by them."""

    ADD = "tokens:operator:add"
    UPDATE = "tokens:operator:update"
    SIGN_IN = "tokens:operator:sign_in"
    CHANGE_PASSWORD = "tokens:operator:change_password"  # noqa: S105 — a name
    SWITCH_ON_SECOND_FACTOR = "tokens:operator:switch_on_second_factor"
    SWITCH_OFF_SECOND_FACTOR = "tokens:operator:switch_off_second_factor"


def with_first_password() -> Operator | None:
    """An operator who still signs in with the password that the first run printed."""
    for policy in OperatorPolicy.objects.exclude(first_password="").select_related("user"):
        if policy.user.is_active and digest(policy.user.password) == policy.first_password:
            return named(policy.user.get_username())
    return None


def record(action: Action, operator_id: Any, *, actor: Actor, before: dict[str, Any] | None = None) -> None:
    """Record that `action` was done to an operator; nothing where `before` says that nothing changed."""
    row = Operator.objects.get(pk=operator_id)
    if before is None or before != audit.snapshot(row):
        audit.record(action, row, actor=actor, before=before)


def snapshot(operator_id: Any) -> dict[str, Any]:
    """What is stored of an operator, as audit events show it."""
    return audit.snapshot(Operator.objects.get(pk=operator_id))


def named(username: str) -> Operator:
    """The operator of that name. Raises `NotFound`."""
    row = Operator.objects.filter(username=username).first()
    if row is None:
        raise NotFound(f"There is no operator named {username!r}.")
    return row


def must_have_second_factor(row: Operator) -> bool:
    """Whether the settings, or a superuser, demand a second factor of this operator."""
    return settings.SECOND_FACTOR_REQUIRED or row.must_have_second_factor


def factor_of(operator_id: Any) -> tuple[bool, bool]:
    """Whether an operator has a second factor, and whether one is demanded of them, in one query."""
    devices = TOTPDevice.objects.filter(user_id=OuterRef("pk"), confirmed=True)
    policies = OperatorPolicy.objects.filter(user_id=OuterRef("pk"), must_have_second_factor=True)
    rows = Operator.objects.filter(pk=operator_id).annotate(has=Exists(devices), must=Exists(policies))
    has, must = rows.values_list("has", "must").get()
    return bool(has), bool(must) or settings.SECOND_FACTOR_REQUIRED


def pending_device(row: Operator) -> TOTPDevice:
    """The device that this operator is setting up: made when first asked for, of no effect until it is confirmed."""
    device, _ = TOTPDevice.objects.get_or_create(user_id=row.pk, confirmed=False, defaults={"name": "authenticator"})
    return device


def switch_on_second_factor(row: Operator, code: str, *, actor: Actor) -> TOTPDevice:
    """Take the pending device into use if `code` comes from it. Raises `Invalid`."""
    with transaction.atomic():
        before = audit.snapshot(row)
        device = pending_device(row)
        if device.verify_token(code):
            device.confirmed = True
            device.save(update_fields=["confirmed"])
            audit.record(Action.SWITCH_ON_SECOND_FACTOR, row, actor=actor, before=before)
            return device
    raise Invalid("code", "That code is not right, or it is too old.")


def switch_off_second_factor(row: Operator, *, actor: Actor) -> None:
    """Forget the devices of an operator. Raises `Forbidden` where the second factor is demanded of those who ask."""
    with transaction.atomic():
        if must_have_second_factor(row) and actor.id == str(row.pk):
            raise Forbidden("A second factor is demanded of you.")
        before = audit.snapshot(row)
        TOTPDevice.objects.filter(user_id=row.pk).delete()
        record(Action.SWITCH_OFF_SECOND_FACTOR, row.pk, actor=actor, before=before)
