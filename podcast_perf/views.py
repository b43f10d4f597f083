"""`GET /token` (the document "Using the `/token` Endpoint")."""

import logging
import re
from typing import ClassVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSetMixin

from podcast_perf import dialect, schema, services
from podcast_perf.services import Holder
from tokens.core import throttling
from tokens.core.errors import AlreadyExists, Invalid, InvalidCredential
from tokens.core.http import API, NotFoundAPI, actor_of, client_address, request_id

log = logging.getLogger(__name__)

LISTENER_HOURS = re.compile(r"([1-9][0-9]{0,4})h?")


class SecretMissing(APIException):
    """There is no `PERFORMANCE_SECRET_KEY`."""

    status_code = 500
    default_detail = "Secret key not configured"


class StoringFailed(APIException):
    """No token leaves the server that is not in the database."""

    status_code = 500
    default_detail = "Error generating token"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "2"}


class TokenViewSet(ViewSetMixin, API):
    """Mint performance tokens."""

    handler = dialect.exception_handler

    @schema.retrieve
    def retrieve(self, request: Request) -> Response:
        """GET: 200 with a fresh token that is stored already."""
        holder, hours = self.judge(request)
        if holder is None:
            throttling.count("listener", client_address(request), limit=settings.MAX_UNAUTHENTICATED)
        label = holder.label if holder else "listener"
        publisher = holder.publisher if holder else None
        actor = actor_of(
            request,
            kind="publisher" if holder else "public",
            id=str(publisher.pk) if publisher else "",
            label=label,
        )
        try:
            return dialect.token(services.mint(actor=actor, holder=holder, hours=hours, is_admin=holder is not None))
        except (DatabaseError, InterfaceError, AlreadyExists) as exc:
            log.error("storing a performance token failed (%s), request %s", type(exc).__name__, request_id(request))
            raise StoringFailed from exc

    def check(self, request: Request) -> Response:
        """HEAD: what GET would be allowed to do, without doing it."""
        self.judge(request)
        return Response()

    def judge(self, request: Request) -> tuple[Holder | None, str | None]:
        """The documented checks in their order: who asks (None: a listener), for how many hours (None: the default).

        Raises `SecretMissing` and `Invalid`.
        """
        if not settings.PERFORMANCE_SECRET_KEY:
            raise SecretMissing
        header = request.META.get("HTTP_X_PUB_KEY")
        if header is None and settings.PERFORMANCE_LISTENER_TOKENS:
            hours = listener_hours(*request.query_params.getlist("expiresIn"))
            throttling.check("listener", client_address(request))
            return None, hours
        try:
            # WSGI hands bytes over as Latin-1; a key of other characters is stored as UTF-8.
            raw_key = (header or "").encode("latin-1", "replace").decode("utf-8", "surrogateescape")
            return services.holder_of(raw_key, address=client_address(request)), None
        except InvalidCredential as exc:
            raise Invalid("X-PUB-KEY", "Invalid public key", detail=str(exc)) from exc


def listener_hours(*given: str) -> str:
    """The hours in `?expiresIn=` (`1`, `2h`), at most `PERFORMANCE_LISTENER_MAX_HOURS`; `EXPIRES_IN` unless given.

    Raises `Invalid`, also for one that is repeated.
    """
    highest = settings.PERFORMANCE_LISTENER_MAX_HOURS
    if not given:
        return settings.EXPIRES_IN if float(settings.EXPIRES_IN) <= highest else str(highest)
    match = LISTENER_HOURS.fullmatch(given[0])
    if match is None or int(match[1]) > highest or len(given) > 1:
        raise Invalid(
            "expiresIn", "Invalid expiresIn", detail=f"Write whole hours from 1 to {highest}, for example 1 or 2h."
        )
    return match[1]


class NotFoundView(NotFoundAPI):
    """Everything else below `/token/`."""

    handler = dialect.exception_handler
