"""HTTP as all the APIs here speak it: JSON whatever the Content-Type, lenient Accept, `no-store`, one way to an error.

An API's own words (its envelope and the keys of its bodies) are not here but in the `dialect.py` of its app.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, cast

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import Error
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.request import MediaType
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from tokens.core import errors, throttling
from tokens.core.addresses import address_of, is_within
from tokens.core.audit import Actor
from tokens.core.fields import first_sentence
from tokens.core.operations import access, metrics

log = logging.getLogger(__name__)

# One sentence for a missing, malformed, unknown, expired or switched-off bearer token: a 401 tells nobody which.
BEARER_REFUSED = "The bearer token is missing or not valid."
# Longer ones that are not hexadecimal could be a credential, which the log must not have.
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,19}|[0-9A-Fa-f-]{8,64}")


class RequestMiddleware:
    """Gives each request its id and its line of log, and each response the headers that all of them have.

    An `X-Request-ID` of 8 to 64 hexadecimal digits and dashes, or of up to 19 plain characters, is taken over, so that
    one id can be followed through a proxy.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response to `request`."""
        begun = time.perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request.META["registry.request_id"] = request_id
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        response["X-Content-Type-Options"] = "nosniff"
        # How long the answer to GET would be is not known where none was made for HEAD (RFC 9110, section 8.6).
        is_unknown = response.streaming or (request.method == "HEAD" and not response.content)
        if not is_unknown and not response.has_header("Content-Length"):
            response["Content-Length"] = str(len(response.content))
        access.told(
            request,
            response,
            request_id=request_id,
            address=client_address(request),
            seconds=time.perf_counter() - begun,
        )
        return response


def request_id(request: HttpRequest | Request) -> str:
    """The id that `RequestMiddleware` gave to `request`."""
    return str(request.META.get("registry.request_id", ""))


def client_address(request: HttpRequest | Request) -> str | None:
    """The address of the client, or None when the server was reached through something without one.

    The peer's own address, unless the peer is one of `TRUSTED_PROXIES`: then the last entry of `X-Forwarded-For` that
    is none of them. The peer at a Unix socket has none.
    """
    meta = request.META
    if "registry.address" in meta:
        return cast(str | None, meta["registry.address"])
    peer = meta.get("REMOTE_ADDR", "")
    address, is_trusted = address_of(peer), settings.TRUSTS_UNIX_SOCKET and not peer
    hops = [part.strip() for part in meta.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    while hops and (is_trusted or is_within(address, settings.TRUSTED_PROXIES)):
        address, is_trusted = address_of(hops.pop()), False
    meta["registry.address"] = address
    return address


def actor_of(request: HttpRequest | Request, *, kind: str, id: str = "", label: str = "") -> Actor:
    """The actor that came through an API, with the address and the id of its request, whose log will name it."""
    access.note_actor(request, kind, id)
    return Actor(
        kind=kind, channel="api", id=id, label=label, address=client_address(request), request_id=request_id(request)
    )


class JSONBodyParser(BaseParser):
    """Any body as a JSON object (RFC 8259), whatever its Content-Type says."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The object in the body; raises `TooLarge` and DRF's `ParseError`."""
        return self.loads(self.read(stream))

    def read(self, stream: Any) -> bytes:
        """The body. Raises `TooLarge`."""
        raw: bytes = stream.read(settings.MAX_BODY_BYTES + 1)
        if len(raw) > settings.MAX_BODY_BYTES:
            raise TooLarge
        return raw

    def loads(self, raw: bytes) -> dict[str, Any]:
        """The object that `raw` is. Raises DRF's `ParseError`."""
        try:
            data = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise exceptions.ParseError("The body is not valid JSON.") from None
        if not isinstance(data, dict):
            raise exceptions.ParseError("The body must be a JSON object.")
        return data


class JSONRenderer(BaseRenderer):
    """JSON by orjson."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """`data` as JSON; nothing for the body of an answer that has none."""
        return b"" if data is None else orjson.dumps(data)


class Negotiation(BaseContentNegotiation):
    """The first parser for every body; the renderer that Accept prefers, or the first one, never a 406."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The only parser there is."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The renderer of the media type that Accept prefers (RFC 9110, section 12.5.1), with that type."""
        accept = request.META.get("HTTP_ACCEPT") if len(renderers) > 1 else None
        if accept is not None:
            preferred = _preferred_type(accept, tuple(renderer.media_type for renderer in renderers))
            for renderer in renderers:
                if renderer.media_type == preferred:
                    return renderer, renderer.media_type
        return renderers[0], renderers[0].media_type


def accepted_types(request: HttpRequest) -> Sequence[MediaType]:
    """What Accept names, or nothing where Django cannot read it."""
    try:
        return request.accepted_types
    except (ValueError, LookupError):  # parameters in the extended notation of RFC 8187, which Django decodes
        return []


@lru_cache(maxsize=64)
def _preferred_type(accept: str, media_types: tuple[str, ...]) -> str | None:
    """The one of `media_types` that is accepted most, whatever its parameters; a wildcard means the first."""
    request = HttpRequest()
    request.META["HTTP_ACCEPT"] = accept
    known = {"*/*", *media_types}
    ranges = (f"{accepted_type.main_type}/{accepted_type.sub_type}" for accepted_type in accepted_types(request))
    return next((media_types[0] if wanted == "*/*" else wanted for wanted in ranges if wanted in known), None)


class TooLarge(exceptions.APIException):
    """The body is over `MAX_BODY_BYTES`."""

    status_code = 413
    default_detail = "The request body is too large; at most 64 KiB are read."


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, before a dialect puts it into its own words."""

    status: int
    message: str
    headers: dict[str, str] = field(default_factory=dict)
    detail: str = ""
    is_failed_authentication: bool = False


STATUSES: tuple[tuple[type[errors.RegistryError], int], ...] = (
    (errors.Invalid, 400),
    (errors.InvalidCredential, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.AlreadyExists, 409),
    (errors.TooManyFailures, 429),
    (errors.NotConfigured, 500),
    (errors.Unavailable, 503),
)
AWAY = Problem(503, "The registry cannot be reached at the moment; try again.", {"Retry-After": "2"})


def problem_of(exc: Exception) -> Problem:
    """The HTTP status and the sentence for `exc`. Whatever nobody foresaw is a 500 whose text stays in the log."""
    match exc:
        case _ if isinstance(exc, (errors.Unavailable, *errors.OUTAGES)):
            return AWAY
        case errors.RegistryError():
            return _refusal(exc)
        case exceptions.ValidationError():
            return Problem(400, first_sentence(exc.detail))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            challenge = {"WWW-Authenticate": getattr(exc, "auth_header", "Bearer")}
            return Problem(401, BEARER_REFUSED, challenge, is_failed_authentication=True)
        case exceptions.APIException():
            return Problem(exc.status_code, str(exc.detail), getattr(exc, "headers", {}))
        case RequestDataTooBig():
            return Problem(413, TooLarge.default_detail)
        case SuspiciousOperation():
            return Problem(400, "The request is not acceptable.")
        case UnreadablePostError():
            return Problem(408, "The request body did not arrive.")
        case _:
            return Problem(500, "Internal server error")


def _refusal(exc: errors.RegistryError) -> Problem:
    """What a service refused. Which setting is missing stays in the log."""
    return Problem(
        status=next((status for kind, status in STATUSES if isinstance(exc, kind)), 500),
        message="The server is not configured for this call." if isinstance(exc, errors.NotConfigured) else str(exc),
        headers={"Retry-After": str(exc.retry_after)} if isinstance(exc, errors.TooManyFailures) else {},
        detail=getattr(exc, "detail", ""),
        is_failed_authentication=any(isinstance(one, errors.InvalidCredential) for one in (exc, exc.__cause__)),
    )


def counted(problem: Problem, address: str | None) -> Problem:
    """`problem`, or a 429 in its place when `address` has failed to authenticate too often within a minute."""
    if problem.is_failed_authentication:
        try:
            throttling.count("failures", address, limit=settings.MAX_FAILURES)
        except errors.TooManyFailures as exc:
            return problem_of(exc)
    return problem


def exception_handler(
    body: Callable[[Problem, APIView], dict[str, Any]],
) -> Callable[[Exception, dict[str, Any]], Response]:
    """A DRF exception handler that answers every exception with `body(problem, view)`, the error of one dialect."""

    def handle(exc: Exception, context: dict[str, Any]) -> Response:
        request, view = context["request"], context["view"]
        problem = counted(problem_of(exc), client_address(request))
        metrics.refused(type(exc.__cause__ if isinstance(exc.__cause__, errors.RegistryError) else exc).__name__)
        if isinstance(exc, errors.NotConfigured):
            log.error("%s, request %s", exc, request_id(request))
        elif problem.status == 500 and not isinstance(exc, exceptions.APIException):
            log.error(
                "%s in %s, request %s", type(exc).__name__, type(view).__name__, request_id(request), exc_info=exc
            )
            got_request_exception.send(sender=type(view), request=request)
        elif isinstance(exc, Error):
            log.warning("database unavailable (%s), request %s", type(exc).__name__, request_id(request))
        return Response(body(problem, view), status=problem.status, headers=problem.headers)

    return handle


class API(APIView):
    """The base of every API view. A subclass names the exception handler, and the renderers, of its dialect."""

    parser_classes = (JSONBodyParser,)
    renderer_classes: Sequence[type[BaseRenderer]] = (JSONRenderer,)
    content_negotiation_class = Negotiation
    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = ()
    cache_control = "no-store"
    # Whether an address that has failed too often is refused here, too.
    is_limited = True
    metadata_class = None
    format_kwarg = None
    handler: ClassVar[Callable[[Exception, dict[str, Any]], Response]]

    def get_exception_handler(self) -> Any:
        """The handler of this view's dialect."""
        return type(self).handler

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse too large a body before anything looks at the request; ask OPTIONS for no credential.

        Takes the place of DRF's method, which would negotiate again and ask for versions and throttles.
        """
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length.lstrip("0")[:12] or 0) > settings.MAX_BODY_BYTES:
            raise TooLarge
        if request.method == "OPTIONS":
            return
        if self.is_limited:
            throttling.check("failures", client_address(request))
        if self.authentication_classes:
            self.perform_authentication(request)
        self.check_permissions(request)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """The methods of this route in `Allow` (RFC 9110, section 9.3.7), and nothing else."""
        return Response(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep every answer out of every cache unless the view says otherwise: any of them may carry a credential."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = self.cache_control if response.status_code < 400 else "no-store"
        return response


class NotFoundAPI(API):
    """What answers under an API's own paths where there is no route: 404 in the dialect, for every method."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise before a method is looked for."""
        super().initial(request, *args, **kwargs)
        raise exceptions.NotFound("There is nothing here.")


def validated(serializer: Serializer[Any], request: Request) -> dict[str, Any]:
    """The body of `request` checked by `serializer`, an instance that a module keeps (making one costs 200 µs).

    Raises DRF's `ValidationError`.
    """
    return cast(dict[str, Any], serializer.run_validation(request.data))
