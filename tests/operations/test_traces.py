"""What a collector of traces gets from a real server, and what keeps traces from being sent."""

import gzip
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from threading import Thread
from time import monotonic

import pytest
from django.core.exceptions import MiddlewareNotUsed

from tests.core.process import BARE, PYTHON, run
from tests.server import registry
from tests.server.registry import Registry
from tokens.core import checks
from tokens.core.operations import traces

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
needs_packages = pytest.mark.skipif(
    find_spec("opentelemetry") is None and not os.environ.get("CI"), reason="requirements-otel.txt is not installed."
)


class Collector(ThreadingHTTPServer):
    """An OTLP/HTTP collector that keeps the bodies it is sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Receiver)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self):
        """Every span as its name, attributes, ids and status; and the resource it came from."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 — an extra
            ExportTraceServiceRequest,
        )

        for body in self.bodies:
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = attributes(group.resource)
                for scope in group.scope_spans:
                    yield from ((span, attributes(span), resource) for span in scope.spans)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        """Keep quiet."""


def attributes(thing):
    return {
        pair.key: pair.value.string_value or pair.value.int_value for pair in thing.attributes if pair.HasField("value")
    }


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        yield collector
        collector.shutdown()


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> tuple[Registry, Collector]:
    """What came out of a server that was asked for a few things, and stopped."""
    served = registry.new(tmp_path_factory.mktemp("traced"))
    with collecting() as collector:
        served.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        with served.serving():
            ask(served)
    return served, collector


def ask(served: Registry) -> None:
    bearer = f"Bearer {served.bearer}"
    assert served.call("GET", "/token", X_PUB_KEY=served.public_key, traceparent=TRACEPARENT).status == 200
    pair = served.call("POST", "/auth/v1/key", {"key": served.api_key}).json()
    assert served.call("POST", "/auth/v1/token/refresh", pair).status == 200
    assert served.call("POST", "/_/token", {"name": "example"}, Authorization=bearer).status == 201
    assert served.call("POST", "/_/token", {"name": "example"}, Authorization=bearer).status == 409
    assert served.call("GET", f"/_/token?access_token={served.bearer}").status == 401
    assert served.call("GET", f"/{served.bearer}", Cookie=f"edi-token={pair['edi-token']}").status == 404
    assert served.call("POST", "/introspect", {"token": pair["edi-token"]}, Authorization=bearer).status == 200
    assert served.call("GET", "/admin/login/").status == 200
    assert served.call("GET", "/healthz").status == 200


@needs_packages
class TestServer:
    def test_sends_a_span_for_each_request_with_its_route_and_status(self, traced):
        _, collector = traced
        requests = [(span.name, shown) for span, shown, _ in collector.spans() if "http.route" in shown]
        found = {(name, shown["http.response.status_code"]) for name, shown in requests}
        assert found == {
            ("GET /token", 200),
            ("POST /auth/v1/key", 200),
            ("POST /auth/v1/token/refresh", 200),
            ("POST /_/token", 201),
            ("POST /_/token", 409),
            ("GET /_/token", 401),
            ("GET (none)", 404),
            ("POST /introspect", 200),
            ("GET /admin/", 200),
        }

    def test_sends_the_queries_of_a_request_within_its_span(self, traced):
        _, collector = traced
        spans = list(collector.spans())
        (request,) = (span for span, _, _ in spans if span.name == "POST /auth/v1/key")
        texts = [shown["db.query.text"] for span, shown, _ in spans if span.parent_span_id == request.span_id]
        assert texts
        assert all(text.startswith(("UPDATE", "SELECT", "(SELECT")) for text in texts)

    def test_asks_nothing_of_the_database_for_a_refresh(self, traced):
        _, collector = traced
        spans = list(collector.spans())
        (request,) = (span for span, _, _ in spans if span.name == "POST /auth/v1/token/refresh")
        assert [span.name for span, _, _ in spans if span.parent_span_id == request.span_id] == []

    def test_goes_on_with_the_trace_of_the_caller(self, traced):
        _, collector = traced
        (request,) = (span for span, _, _ in collector.spans() if span.name == "GET /token")
        assert f"{request.trace_id.hex()}-{request.parent_span_id.hex()}" == TRACEPARENT[3:-3]

    def test_names_itself(self, traced):
        assert {resource["service.name"] for _, _, resource in traced[1].spans()} == {"token-registry"}

    def test_sends_no_credential(self, traced):
        served, collector = traced
        everything = b"".join(collector.bodies)
        made = [thing["secret"] for thing in served.made if thing.get("secret")]
        assert len(made) >= 3
        pieces = {piece.encode() for secret in made for piece in (secret, *secret.split("."), secret[-20:])}
        assert [piece for piece in pieces if piece in everything] == []
        assert re.findall(rb"eyJ[\w-]{8,}", everything) == []

    def test_ends_soon_though_the_collector_is_away(self, tmp_path):
        served = registry.new(tmp_path)
        served.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{registry.free_port()}"
        with served.serving():
            assert served.call("GET", "/auth/v1/ping").status == 200
            begun = monotonic()
        assert monotonic() - begun < 20


@needs_packages
def test_makes_nothing_of_packages_that_are_there_but_not_asked_for():
    script = "import config.wsgi, sys; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = run(PYTHON, "-c", script, environment=BARE | {"ENV_FILE": "/dev/null", "SECRET_KEY": "x"})
    assert done.stdout.strip() == "[]", done.stderr


WANTED = [
    ({}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
    ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
    ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, False),
    ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, False),
]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("environment", "wanted"), WANTED)
def test_wants_traces_where_the_environment_asks_for_them(monkeypatch, environment, wanted):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert traces.is_wanted() is wanted


def test_costs_nothing_where_nobody_asks_for_traces():
    with pytest.raises(MiddlewareNotUsed):
        traces.TraceMiddleware(print)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "only otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "only http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "otlp", "requirements-otel.txt"),
    ],
)
def test_says_why_none_are_sent(monkeypatch, name, value, words):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(traces, "find_spec", lambda _: None)
    (message,) = checks.check_traces(None)
    assert message.id == "tokens.W005"
    assert words in message.msg
    with pytest.raises(MiddlewareNotUsed):
        traces.TraceMiddleware(print)
    traces.start()
    assert traces._tracer is None
