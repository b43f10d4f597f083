"""The landing page, and what stands where there is nothing."""

import re
from html import unescape

import pytest
from drf_spectacular.generators import SchemaGenerator

from tests.core.wsgi import request

pytestmark = pytest.mark.django_db

HTML = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}


def links(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', page)


def test_names_every_route_of_the_apis():
    page = re.sub(r"<[^>]+>", "", request("GET", "/", **HTML).body.decode())
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert {"GET /token", "DELETE /_/token", "POST /auth/v1/key"} <= routes
    assert {route for route in routes if route.replace("{edi_id}", "<EDI-ID>") not in unescape(page)} == set()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "FOO"])
@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/docs/", "/api/schema/", "/healthz", "/readyz", "/metrics"])
def test_answers_every_method_on_purpose(path, method):
    assert request(method, path).status in {200, 204, 403, 404, 405, 503}


@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_links_to_nothing_that_is_missing(path):
    targets = links(request("GET", path, **HTML).body.decode())
    assert len(targets) >= 3
    assert {target: request("GET", target).status for target in targets if target.startswith("/")} == {
        target: 302 if target == "/admin/" else 200 for target in targets
    }


@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_is_a_whole_page_in_a_language(path):
    answer = request("GET", path, **HTML)
    page = answer.body.decode()
    assert answer.header("Content-Type") == ["text/html; charset=utf-8"]
    assert page.startswith("<!doctype html>")
    assert '<html lang="en">' in page
    assert re.search(r"<title>[^<]+</title>", page)
    assert page.count("<h1>") == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_does_nothing_with_other_methods(method):
    assert request(method, "/").status in {403, 405}


@pytest.mark.parametrize("path", ["/nowhere", "/adminx", "/api/nowhere"])
def test_tells_people_that_there_is_nothing(path):
    answer = request("GET", path, **HTML)
    assert answer.status == 404
    (policy,) = answer.header("Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert "There is nothing here" in answer.body.decode()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_tells_programs_that_there_is_nothing(method):
    answer = request(method, "/nowhere", b"{}", HTTP_ACCEPT="application/json")
    assert answer.status == 404
    assert answer.json() == {"error": "There is nothing here."}


def test_puts_nothing_from_the_address_into_the_page():
    page = request("GET", "/<script>alert(1)</script>", **HTML).body.decode()
    assert "alert(1)" not in page


def test_says_nothing_about_an_error_of_its_own(monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError("secret-of-the-server")

    monkeypatch.setattr("config.views.render", fail)
    answer = request("GET", "/", **HTML)
    assert answer.status == 500
    assert answer.json() == {"error": "Internal server error"}
