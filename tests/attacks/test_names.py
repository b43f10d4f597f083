"""Names that look like another, and names that try to be more than a name (Unicode TR 39; CWE-93)."""

import unicodedata
from urllib.parse import quote

import pytest
from django.http import HttpHeaders

from edi_auth import services
from edi_auth.models import Profile, edi_id_of
from tests.edi_auth.forge import SYSTEM, pasta
from tests.factories import ApiKeyFactory, NamedTokenFactory, ProfileFactory, PublisherFactory, secret_of
from tokens.core.errors import Invalid
from tokens.models import AuditEvent, NamedToken

pytestmark = pytest.mark.django_db

SORT = "lookalike names, header smuggling"
NAME = "café-admin"
LOOKALIKES = [
    unicodedata.normalize("NFD", NAME),
    "CAFÉ-ADMIN",
    "Café-admin",
    NAME + " ",
    " " + NAME,
    NAME + "\u00a0",
    NAME + "\u200b",
    NAME + "\ufeff",
    "\u202e" + NAME,
    NAME + "\u0301",
    NAME.replace("a", "\u0430"),
    NAME.replace("-", "\u2010"),
    NAME.replace("-", "\u00ad-"),
    NAME.replace("i", "\u0131"),
    "".join(chr(ord(char) + 0xFEE0) if char.isascii() else char for char in NAME),
    "caf%C3%A9-admin",
    "café_admin",
    "caf%",
    "caf*",
    NAME + "%00",
]
CONTROLS = ["a\0b", "a\r\nb", "a\nSet-Cookie: a=b", "a\x1b[2Jb", "a\x7fb", "a\x85b", "\x9b31m", "a\tb", "\u0000", ""]
CRLF = ["\r\nX-Injected: 1", "\nX-Injected: 1", "\rX-Injected: 1", "%0d%0aX-Injected: 1", "\u010d\u010aX-Injected: 1"]


@pytest.mark.parametrize("name", LOOKALIKES, ids=ascii)
def test_reaches_no_token_by_a_name_that_looks_like_its_own(api, bearer, tried, name):
    NamedTokenFactory(name=NAME)
    tried(4)
    for method, path in (("PUT", "/_/token"), ("DELETE", "/_/token"), ("POST", "/_/token/rotate")):
        assert api.call(method, path, {"name": name}, bearer=bearer).status_code == 404
    assert api.call("GET", f"/_/token/value?name={quote(name)}", bearer=bearer).status_code == 404
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("name", LOOKALIKES, ids=ascii)
def test_keeps_a_name_as_it_came_and_apart_from_the_one_it_looks_like(api, bearer, tried, name):
    NamedTokenFactory(name=NAME)
    tried()
    response = api.call("POST", "/_/token", {"name": name}, bearer=bearer)
    assert response.status_code == 201
    assert response.json()["data"][0]["name"] == name
    api.call("DELETE", "/_/token", {"name": name}, bearer=bearer)
    assert NamedToken.objects.get(revoked_at__isnull=True, name=NAME)


@pytest.mark.parametrize("name", CONTROLS, ids=ascii)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_takes_no_name_with_control_characters(api, bearer, tried, method, name):
    tried()
    assert api.call(method, "/_/token", {"name": name}, bearer=bearer).status_code == 400
    assert NamedToken.objects.count() == 1


@pytest.mark.parametrize("text", CRLF, ids=ascii)
def test_puts_nothing_of_a_request_into_a_header(api, bearer, tried, text):
    for number, response in enumerate(
        [
            api.call("POST", "/_/token", {"name": f"x{text}"}, bearer=bearer),
            api.call("GET", f"/_/token/value?name=x{quote(text)}", bearer=bearer),
            api.call("GET", f"/_/token?limit=1&after=x{quote(text)}", bearer=bearer),
            api.call("POST", f"/auth/v1/token/EDI-0{quote(text)}", {"key": text}),
            api.call("GET", f"/auth/v1/{quote(text)}"),
            api.call("GET", f"/_/{quote(text)}", bearer=bearer),
            api.call("GET", f"/token/{quote(text)}"),
            api.call("POST", "/introspect", {"token": text}, bearer=bearer),
        ],
        start=1,
    ):
        tried()
        assert response.status_code < 500, number
        assert is_clean(response.headers), number


def is_clean(headers: HttpHeaders) -> bool:
    """Whether no header holds a line break or what was smuggled in."""
    said = "".join(name + value for name, value in headers.items())
    return "Injected" not in said and not {"\r", "\n", "\0"} & set(said)


@pytest.mark.parametrize(
    "given", ["a" * 65, "short", "", "12345678\r\nX-Injected: 1", "12345678 ", "ÿÿÿÿÿÿÿÿ", "../../../../"]
)
def test_takes_over_no_request_id_that_is_more_than_one(api, tried, given):
    tried()
    response = api.generic("GET", "/auth/v1/ping", HTTP_X_REQUEST_ID=given)
    assert is_clean(response.headers)
    assert response["X-Request-ID"] != given


@pytest.mark.parametrize("name", [NAME, *LOOKALIKES], ids=ascii)
def test_puts_a_page_link_of_any_name_on_one_line_of_ascii(api, bearer, tried, name):
    for token in (name, "z"):
        NamedTokenFactory(name=token)
    tried()
    for cursor in ("", "&cursor=1"):
        link = api.call("GET", f"/_/token?limit=1{cursor}", bearer=bearer).get("Link", "")
        assert link.isascii()
        assert is_clean(HttpHeaders({"HTTP_LINK": link}))


@pytest.mark.parametrize(
    "uid", ["uid=a\r\nSet-Cookie: a=b", "uid=a*vetted", "a\0b", "a\nb", "*", "public", "Public", "VETTED"]
)
def test_makes_no_profile_of_an_identity_that_is_more_than_one(tried, actor, uid):
    tried()
    with pytest.raises(Invalid):
        services.add_profile(idp="ldap", idp_uid=uid, actor=actor)
    assert not Profile.objects.exists()


@pytest.mark.parametrize("uid", ["<uid>", "]]>", "&amp;", "uid=\u202e", "🦎", "a,b;c=d", '"', "\\", "-", ".", "%0d%0a"])
@pytest.mark.parametrize("accept", ["application/json", "application/xml"])
def test_carries_an_odd_identity_as_it_is(api, bearer, tried, uid, accept):
    key = ApiKeyFactory(owner=ProfileFactory(idp_uid=uid))
    tried()
    response = api.call("POST", "/auth/v1/key", {"key": secret_of(key)}, headers={"Accept": accept})
    assert response.status_code == 200
    assert is_clean(response.headers)
    edi_token = response.json()["edi-token"] if accept.endswith("json") else between(response, "edi-token")
    reader = api.call("POST", "/introspect", {"token": edi_token}, bearer=bearer)
    assert reader.json()["sub"] == edi_id_of(uid)


def between(response, element):
    return response.content.decode().partition(f"<{element}>")[2].partition("<")[0]


@pytest.mark.parametrize("uid", ["uid=a\r\nX: y", "uid=a\0", "", "public\n", "a*b"])
def test_renews_no_identity_that_breaks_a_line(refuses, clock, uid):
    assert refuses("refresh-pasta", pasta(f"{uid}*{SYSTEM}*1799092800000*authenticated"))


@pytest.mark.parametrize("key", ["secret-of-publisher\r\nX: y", "ключ", "ÿ", "\0", "a" * 5000, " ", "*", "%"])
def test_knows_no_publisher_by_a_key_that_is_none(refuses, key):
    PublisherFactory()
    assert refuses("fetch", key)
