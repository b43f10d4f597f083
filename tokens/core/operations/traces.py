"""OpenTelemetry traces, where its environment variables ask for them: a span for each request and each query in it.

A span holds a route, a status, a request id and statements with their placeholders: no URL, header, body or value, in
any of which a credential could be. (The instrumentations of the OpenTelemetry project record URLs.)
"""

import logging
import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from django.core.exceptions import MiddlewareNotUsed
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse

from tokens.core.operations import access

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
FLUSH_SECONDS = 3
MAX_STATEMENT = 2000

_provider: Any = None
_exporter: Any = None
_tracer: Any = None


def is_wanted() -> bool:
    """Whether the environment names a collector or an exporter (OpenTelemetry's "SDK configuration")."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return exporter != "none" and bool(exporter or any(os.environ.get(name) for name in ENDPOINTS))


def obstacle() -> str:
    """Why no traces are sent though they are wanted, in words; empty when nothing is in their way."""
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    protocol = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), "http/protobuf")
    if exporter != "otlp":
        return f"OTEL_TRACES_EXPORTER is {exporter!r}; only otlp and none are known here."
    if protocol != "http/protobuf":
        return f"{PROTOCOLS[1]} is {protocol!r}; only http/protobuf is known here."
    return "" if _is_installed() else "The packages in requirements-otel.txt are not installed."


def _is_installed() -> bool:
    try:
        return all(find_spec(f"opentelemetry.{name}") for name in ("sdk", "exporter.otlp.proto.http"))
    except ModuleNotFoundError:  # of a package that these are in
        return False


def start() -> None:
    """Send traces from now on, if they are wanted. For a process that will not fork: what sends them is a thread."""
    global _provider, _exporter, _tracer  # noqa: PLW0603 — one for each process
    if not is_wanted():
        return
    if words := obstacle():
        log.warning("no traces are sent: %s", words)
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 — an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 — an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 — an extra
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 — an extra

    if "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        os.environ.setdefault("OTEL_SERVICE_NAME", "token-registry")
    _provider = TracerProvider(resource=Resource.create(), shutdown_on_exit=False)
    _exporter = OTLPSpanExporter()
    _provider.add_span_processor(BatchSpanProcessor(_exporter))
    _tracer = _provider.get_tracer("token-registry")


def stop() -> None:
    """Send what was not sent yet, and no more. A collector that is away is not asked again after `FLUSH_SECONDS`."""
    global _provider, _exporter, _tracer  # noqa: PLW0603 — one for each process
    if _provider is not None:
        # The SDK itself would try for up to half a minute, in which gunicorn kills the worker.
        giving_up = threading.Timer(FLUSH_SECONDS, _exporter.shutdown)
        giving_up.daemon = True
        giving_up.start()
        _provider.shutdown()
        giving_up.cancel()
    _provider = _exporter = _tracer = None


class TraceMiddleware:
    """Makes a span of each request, within the trace of a proxy that sends `traceparent` (W3C Trace Context)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not is_wanted() or obstacle():
            raise MiddlewareNotUsed
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 — an extra
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 — an extra

        self.get_response = get_response
        self._propagator: Any = TraceContextTextMapPropagator()
        self._server, self._client, self._error = SpanKind.SERVER, SpanKind.CLIENT, StatusCode.ERROR

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response to `request`."""
        if _tracer is None or request.path_info in access.QUIET:
            return self.get_response(request)
        carrier = {name: request.headers[name] for name in ("traceparent", "tracestate") if name in request.headers}
        with (
            self._span("request", context=self._propagator.extract(carrier), kind=self._server) as span,
            connection.execute_wrapper(self._query),
        ):
            response = self.get_response(request)
            method, route = access.method_of(request), access.route_of(request)
            span.update_name(f"{method} {route}")
            span.set_attribute("http.request.method", method)
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", response.status_code)
            span.set_attribute("registry.request_id", response.get("X-Request-ID", ""))
            if response.status_code >= 500:
                span.set_status(self._error)
        return response

    def _query(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """Run one statement within a span of its own."""
        with self._span(sql.split(maxsplit=1)[0], kind=self._client) as span:
            span.set_attribute("db.system.name", context["connection"].vendor)
            span.set_attribute("db.query.text", sql[:MAX_STATEMENT])
            try:
                return execute(sql, params, many, context)
            except DatabaseError:
                span.set_status(self._error)
                raise

    def _span(self, name: str, **options: Any) -> Any:
        """A span that takes no words from an exception: those of a database hold values."""
        return _tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False, **options)
