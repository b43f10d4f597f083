"""The admin of badges."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from tests.contracts.fourth import services
from tests.contracts.fourth.models import Badge
from tokens.core.admin.credentials import CredentialAdmin
from tokens.core.admin.verbs import operator


@admin.register(Badge)
class BadgeAdmin(CredentialAdmin):
    """Badges."""

    list_display = ("number", "shown_state")
    fields = ("number", "is_active", "expires_at")

    def add(self, request: HttpRequest, form: Any) -> tuple[Badge, str]:
        return services.mint(actor=operator(request), **form.cleaned_data)
