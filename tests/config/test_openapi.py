"""The API description and the page that shows it."""

import re

import pytest
import yaml
from django.core.management import call_command
from django.urls import get_resolver
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.core.wsgi import request

OPERATIONS = {
    ("/token", "get"),
    ("/_/token", "post"),
    ("/_/token", "get"),
    ("/_/token", "put"),
    ("/_/token", "delete"),
    ("/_/token/value", "get"),
    ("/auth/v1/key", "post"),
    ("/auth/v1/token/refresh", "post"),
    ("/auth/v1/ping", "get"),
}
ROW = {"name", "expiration_date", "active", "write", "state", "created_at", "updated_at", "last_used_at"}
FIELDS = {"name", "expiration_date", "active", "write"}
PAIR = {"msg", "pasta-token", "edi-token", "method"}


def resolved(schema, part):
    """`part` with its reference, if it is one, followed."""
    while "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return part


def body_of(schema, path, method, status):
    content = schema["paths"][path][method]["responses"][status]["content"]["application/json"]
    return resolved(schema, content["schema"])


@pytest.mark.django_db
def test_is_valid_openapi_3_1_as_it_is_served():
    answer = request("GET", "/api/schema/")
    assert answer.status == 200
    document = yaml.safe_load(answer.body)
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


@pytest.mark.django_db
def test_is_served_as_json_too(schema):
    answer = request("GET", "/api/schema/", HTTP_ACCEPT="application/json")
    assert set(answer.json()["paths"]) == set(schema["paths"])


def test_is_made_without_a_warning(tmp_path, capsys):
    call_command("spectacular", "--validate", "--fail-on-warn", file=str(tmp_path / "schema.yaml"))
    assert (tmp_path / "schema.yaml").stat().st_size > 1000
    assert "Warning" not in capsys.readouterr().err


def test_describes_every_documented_route(schema):
    assert {(path, method) for path, operations in schema["paths"].items() for method in operations} >= OPERATIONS


def test_describes_every_route_of_the_apis(schema):
    described = {(path, method) for path, operations in schema["paths"].items() for method in operations}
    patterns = flattened(get_resolver().url_patterns)
    routes = {(re.sub(r"<\w+:(\w+)>", r"{\1}", f"/{pattern.pattern}"), pattern.callback) for pattern in patterns}
    served = {
        (path, method) for path, view in routes for method in getattr(view, "actions", None) or {} if method != "head"
    }
    assert described == served


def flattened(patterns):
    for pattern in patterns:
        yield from flattened(pattern.url_patterns) if hasattr(pattern, "url_patterns") else [pattern]


def test_describes_the_body_of_delete(schema):
    body = schema["paths"]["/_/token"]["delete"]["requestBody"]
    described = resolved(schema, body["content"]["application/json"]["schema"])
    assert body["required"] is True
    assert set(described["properties"]) == {"name"}
    assert described["required"] == ["name"]


@pytest.mark.parametrize(
    ("path", "method", "required", "fields"),
    [
        ("/_/token", "post", {"name"}, FIELDS),
        ("/_/token", "put", {"name"}, FIELDS),
        ("/auth/v1/key", "post", {"key"}, {"key"}),
        ("/auth/v1/token/refresh", "post", {"pasta-token", "edi-token"}, {"pasta-token", "edi-token"}),
    ],
)
def test_describes_the_fields_of_a_body(schema, path, method, required, fields):
    body = schema["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    described = resolved(schema, body)
    assert set(described["properties"]) == fields
    assert set(described["required"]) == required


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
def test_says_that_a_form_repeats_no_parameter(schema, path):
    body = schema["paths"][path]["post"]["requestBody"]
    form, document = (
        resolved(schema, body["content"][media_type]["schema"])
        for media_type in ("application/x-www-form-urlencoded", "application/json")
    )
    assert body["required"] is True
    assert form["properties"] == document["properties"]
    assert form["additionalProperties"] == {"type": "string"}
    assert "additionalProperties" not in document


@pytest.mark.parametrize(
    ("path", "method", "status", "fields"),
    [
        ("/_/token", "post", "201", ROW | {"token"}),
        ("/_/token", "get", "200", ROW),
        ("/_/token", "put", "200", ROW),
        ("/_/token", "delete", "200", ROW),
        ("/_/token/value", "get", "200", {"token"}),
    ],
)
def test_describes_the_rows_of_an_answer(schema, path, method, status, fields):
    rows = body_of(schema, path, method, status)["properties"]["data"]
    row = resolved(schema, rows["items"])
    assert set(row["properties"]) == fields
    assert set(row["required"]) == fields


@pytest.mark.parametrize(
    ("path", "method", "fields"),
    [
        ("/token", "get", {"token"}),
        ("/auth/v1/key", "post", PAIR),
        ("/auth/v1/token/refresh", "post", PAIR),
    ],
)
def test_describes_the_fields_of_an_answer(schema, path, method, fields):
    described = body_of(schema, path, method, "200")
    assert set(described["properties"]) == fields


@pytest.mark.parametrize(("path", "method"), sorted(OPERATIONS - {("/auth/v1/ping", "get"), ("/token", "get")}))
def test_describes_what_goes_wrong_in_the_words_of_the_api(schema, path, method):
    fields = {"msg", "method"} if path.startswith("/auth") else {"error"}
    responses = schema["paths"][path][method]["responses"]
    wrong = [status for status in responses if status >= "400"]
    assert {"400", "401"} <= set(wrong)
    for status in wrong:
        assert set(body_of(schema, path, method, status)["properties"]) == fields


@pytest.mark.parametrize("path", ["/_/token", "/_/token/value"])
def test_asks_for_a_bearer_token(schema, path):
    (scheme,) = schema["components"]["securitySchemes"]
    assert schema["components"]["securitySchemes"][scheme]["scheme"] == "bearer"
    for operation in schema["paths"][path].values():
        assert operation["security"] == [{scheme: []}]


@pytest.mark.parametrize("path", ["/token", "/auth/v1/key", "/auth/v1/token/refresh", "/auth/v1/ping"])
def test_asks_for_no_bearer_token(schema, path):
    for operation in schema["paths"][path].values():
        assert not [option for option in operation.get("security", []) if option]


def test_names_the_header_of_a_publisher(schema):
    parameters = {p["name"]: p for p in schema["paths"]["/token"]["get"]["parameters"]}
    assert parameters["X-PUB-KEY"]["in"] == "header"
    assert parameters["X-PUB-KEY"]["required"] is True
    assert parameters["expiresIn"]["in"] == "query"


def test_gives_every_operation_its_own_name_and_a_summary(schema):
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] for operation in operations)


@pytest.mark.django_db
def test_is_shown_with_nothing_from_another_host():
    page = request("GET", "/api/docs/").body.decode()
    script = request("GET", "/api/docs/?script=").body.decode()
    targets = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(targets) >= 4
    assert not [target for target in targets if not re.match(r"/(?!/)", target)]
    assert not re.findall(r"https?://|[\"'(]//", page + script)


@pytest.mark.django_db
def test_is_shown_with_nothing_missing():
    page = request("GET", "/api/docs/").body.decode()
    targets = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert {target: request("GET", target).status for target in targets} == dict.fromkeys(targets, 200)


@pytest.mark.django_db
def test_is_read_by_the_page_that_shows_it():
    script = request("GET", "/api/docs/?script=").body.decode()
    assert '"/api/schema/"' in script
