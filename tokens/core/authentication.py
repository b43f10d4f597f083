"""`Authorization: Bearer` (RFC 6750): reading the header, judging the credential, issuing the challenge."""

import re
from typing import Any

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tokens.core import errors, kinds
from tokens.core.http import client_address
from tokens.core.models import Credential
from tokens.core.operations import access

BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*) *")


class BearerAuthentication(BaseAuthentication):
    """Takes a usable credential of the kind `kind` as the user of the request; `request.auth` is its `Description`."""

    kind = "named_token"

    def authenticate(self, request: Request) -> tuple[Credential, Any] | None:
        """The credential and its description; None without a header. Raises DRF's `AuthenticationFailed`."""
        header = request.META.get("HTTP_AUTHORIZATION")
        if not header:
            return None
        match = BEARER.fullmatch(header)
        if match is None:
            raise AuthenticationFailed
        row, description = self.judge(match[1], address=client_address(request))
        access.note_actor(request, row.kind, str(row.pk))
        return row, description

    def judge(self, raw: str, *, address: str | None) -> tuple[Credential, Any]:
        """The usable credential behind `raw`. Whatever is wrong with it, the answer is one and the same."""
        try:
            description = kinds.get(self.kind).verify(raw, timezone.now())
        except (errors.InvalidCredential, errors.Forbidden):
            raise AuthenticationFailed from None
        row = description.row
        if row is None or not row.allows(address):
            raise AuthenticationFailed
        return row, description

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        return "Bearer"
