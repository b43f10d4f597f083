"""The server below a path of a host that shows more than this."""

import re

import pytest

from tests.server import registry


@pytest.fixture(scope="module")
def below(tmp_path_factory):
    """A server where all paths begin with `/registry`."""
    made = registry.new(tmp_path_factory.mktemp("registry"))
    made.environment["SCRIPT_NAME"] = "/registry"
    with made.serving(workers=1):
        yield made


@pytest.mark.parametrize("path", ["/registry", "/registry/", "/registry/api/docs/", "/registry/admin/login/"])
def test_links_to_nothing_but_what_is_there(below, path):
    page = below.call("GET", path)
    assert page.status == 200
    links = {link.decode() for link in re.findall(rb'(?:href|src)="(/[^"]*)"', page.body)}
    assert any("/static/" in link for link in links)
    assert {link: status for link in links if (status := below.call("GET", link).status) not in {200, 302}} == {}


def test_names_the_overview_where_nothing_is(below):
    page = below.call("GET", "/registry/nothing")
    assert page.status == 404
    assert b'href="/registry/"' in page.body


def test_serves_the_apis(below):
    answer = below.call("POST", "/registry/auth/v1/key", {"key": below.api_key})
    assert answer.status == 200
    pair = {name: answer.json()[name] for name in ("pasta-token", "edi-token")}
    assert below.call("POST", "/registry/auth/v1/token/refresh", pair).status == 200
    assert below.call("GET", "/registry/_/token", Authorization=f"Bearer {below.bearer}").status == 200


@pytest.mark.parametrize("path", ["/", "/auth/v1/ping", "/admin/", "/registryx", "/static/registry/site.css"])
def test_has_nothing_elsewhere(below, path):
    assert below.call("GET", path).status == 404


def test_sends_operators_to_its_own_pages(below):
    answer = below.call("GET", "/registry/admin/")
    assert (answer.status, answer.headers["Location"]) == (302, "/registry/admin/login/?next=/registry/admin/")
