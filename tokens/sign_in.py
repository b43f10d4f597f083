"""Signing in to the admin: the second factor's pages, the middleware that asks for it, and the record of sign-ins."""

import base64
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import django_otp
import qrcode
import qrcode.image.svg
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import redirect_to_login
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.widgets import UnfoldAdminTextInputWidget

from tokens import operators
from tokens.core import throttling
from tokens.core.admin.overview import register_warning
from tokens.core.admin.verbs import operator
from tokens.core.errors import RegistryError, TooManyFailures
from tokens.models import RecoveryCodes

# How often within a minute the old password may be wrong when somebody sets a new one.
MAX_WRONG_PASSWORDS = 5


def typed(pattern: str, *, wrong: str, **attributes: str | bool) -> forms.RegexField:
    """A field for what somebody types off a phone or a sheet of paper; `wrong` is said of anything else."""
    widget = UnfoldAdminTextInputWidget(attrs=attributes)
    return forms.RegexField(pattern, error_messages={"invalid": wrong}, widget=widget)


class CodeForm(forms.Form):
    """Six digits."""

    code = typed(
        r"\A ?[0-9]{3} ?[0-9]{3} ?\Z",
        wrong="The code has six digits.",
        autocomplete="one-time-code",
        inputmode="numeric",
        autofocus=True,
    )

    def clean_code(self) -> str:
        """The digits."""
        return str(self.cleaned_data["code"]).replace(" ", "")


class RecoveryForm(forms.Form):
    """One of the codes that were shown when the second factor was switched on."""

    recovery_code = typed(
        r"\A[A-Za-z2-7]{4}([ -]?[A-Za-z2-7]{4}){3}\Z",
        wrong="A recovery code looks like abcd-efgh-ijkl-mnop.",
        autocomplete="off",
        autocapitalize="none",
        spellcheck="false",
    )


class SecondFactorMiddleware:
    """Lets nobody who has a second factor, or must have one, further than to the pages that ask for it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response to `request`, or the way to the second factor."""
        # Not `path`, which begins with the prefix where the site has one.
        if request.path_info.startswith("/admin") and is_unverified(request):
            has_factor, is_required = operators.factor_of(request.user.pk)
            open_pages = {reverse("admin:logout"), reverse("admin:jsi18n"), reverse("second_factor_code")}
            if request.path not in open_pages:
                if has_factor:
                    return redirect_to_login(request.get_full_path(), reverse("second_factor_code"))
                if is_required and request.path != reverse("second_factor"):
                    messages.warning(request, "You need a second factor. Set one up to continue.")
                    return redirect("second_factor")
        return self.get_response(request)


def is_unverified(request: HttpRequest) -> bool:
    """Whether somebody signed in, and has given no code."""
    user: Any = request.user
    return bool(user.is_authenticated and not user.is_verified())


@never_cache
def ask_code(request: HttpRequest) -> HttpResponse:
    """Ask for the code of the second factor, or for a recovery code in its place."""
    has_recovery_code = "recovery_code" in request.POST
    form = CodeForm(None if has_recovery_code else request.POST or None)
    recovery = RecoveryForm(request.POST if has_recovery_code else None)
    device = None
    if recovery.is_valid():
        device = recovered(request, recovery)
    elif form.is_valid():
        device = operators.verify_code(operators.named(request.user.get_username()), form.cleaned_data["code"])
        if device is None:
            form.add_error("code", "That code is not right, or it is too old. After several mistakes wait a little.")
    if device is not None:
        django_otp.login(request, device)
        request.session.cycle_key()
        following = request.GET.get("next", "")
        is_ours = url_has_allowed_host_and_scheme(following, allowed_hosts=None)
        return HttpResponseRedirect(following if is_ours else reverse("admin:index"))
    context = {**admin.site.each_context(request), "title": "Second factor", "form": form, "recovery": recovery}
    return TemplateResponse(request, "admin/registry/code.html", context)


def recovered(request: HttpRequest, form: RecoveryForm) -> RecoveryCodes | None:
    """The recovery codes that the one in `form` belonged to, with a word about how many are left."""
    row = operators.named(request.user.get_username())
    codes = operators.use_recovery_code(row, form.cleaned_data["recovery_code"], actor=operator(request))
    if codes is None:
        form.add_error(
            "recovery_code", "That code is not right, or it was used before. After several mistakes wait a little."
        )
    else:
        number = len(codes.digests)
        left = f"{number} recovery code{pluralize(number)} {pluralize(number, 'is,are')} left"
        way = (
            "have another operator reset your second factor"
            if operators.is_factor_required(row)
            else "switch the second factor off and on again"
        )
        messages.warning(request, f"{left}. If your phone is lost, {way}.")
    return codes


@never_cache
def second_factor(request: HttpRequest) -> HttpResponse:
    """Where an operator switches the second factor on and off."""
    row = operators.named(request.user.get_username())
    form = CodeForm()
    if request.method == "POST":
        try:
            if "off" in request.POST:
                operators.switch_off_second_factor(row, actor=operator(request))
                messages.success(request, "The second factor is off.")
                return redirect("second_factor")
            if "codes" in request.POST:
                return shown_codes(request, operators.make_recovery_codes(row, actor=operator(request)))
            form = CodeForm(request.POST)
            if not row.has_second_factor and form.is_valid():
                code = form.cleaned_data["code"]
                device, codes = operators.switch_on_second_factor(row, code, actor=operator(request))
                django_otp.login(request, device)
                messages.success(request, "The second factor is on: from now on signing in asks for a code.")
                return shown_codes(request, codes)
        except RegistryError as exc:
            messages.error(request, str(exc))
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Second factor", "form": form}
    context |= {"is_on": row.has_second_factor, "is_required": operators.is_factor_required(row)}
    context["left"] = row.recovery_codes_left
    if not context["is_on"]:
        device = operators.pending_device(row)
        context |= {"picture": picture(device), "typed": base64.b32encode(device.bin_key).decode()}
    return TemplateResponse(request, "admin/registry/second_factor.html", context)


def shown_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """The page that shows recovery codes, once; it is gone when it is left or reloaded."""
    context = {**admin.site.each_context(request), "title": "Recovery codes", "codes": codes}
    return TemplateResponse(request, "admin/registry/recovery_codes.html", context)


def picture(device: TOTPDevice) -> str:
    """The QR code that an authenticator reads, as SVG."""
    image = qrcode.make(device.config_url, image_factory=qrcode.image.svg.SvgPathImage, border=2)
    return mark_safe(image.to_string(encoding="unicode"))  # noqa: S308 — made here, of nothing but squares


@never_cache
def change_password(request: HttpRequest) -> HttpResponse:
    """Django's page, and a record of its success. Who found a session open has few guesses at the password."""
    if request.method != "POST":
        return admin.site.password_change(request)
    who = f"operator {request.user.pk}"
    try:
        throttling.check("passwords", who)
        response: Any = admin.site.password_change(request)
        if response.status_code == HTTPStatus.FOUND:
            operators.record(operators.Action.CHANGE_PASSWORD, request.user.pk, actor=operator(request))
        elif "old_password" in response.context_data["form"].errors:
            throttling.count("passwords", who, limit=MAX_WRONG_PASSWORDS)
    except TooManyFailures:
        messages.error(request, "The old password was wrong too often. Wait a minute, then try again.")
        return redirect("admin:password_change")
    return response


@register_warning
def first_password(request: HttpRequest) -> str:
    """The password of the first run is still in use."""
    row = operators.with_first_password()
    return f"{row} still signs in with the password that the first run printed. Change it." if row else ""


@receiver(user_logged_in)
def record_sign_in(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """Record whoever signs in to the admin."""
    if request.path == reverse("admin:login"):
        request.user = user
        operators.record(operators.Action.SIGN_IN, user.pk, actor=operator(request))


urlpatterns = [
    path("password_change/", admin.site.admin_view(change_password)),
    path("second-factor/", admin.site.admin_view(second_factor), name="second_factor"),
    path("second-factor/code/", admin.site.admin_view(ask_code), name="second_factor_code"),
]
