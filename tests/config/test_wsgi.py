"""The WSGI application: which chain of middleware a path passes through."""

import io

import pytest

from config.wsgi import application, is_site_path
from tests.core.process import BARE, PYTHON, run
from tests.core.wsgi import request

pytestmark = pytest.mark.django_db

API_PATHS = ["/token", "/_/token", "/_/token/value", "/auth/v1/key", "/auth/v1/token/refresh", "/auth/v1/ping"]
MISSING = ["/token/", "/_", "/_/", "/_/nowhere", "/auth/v1", "/auth/v1/", "/auth/v1/nowhere"]
SITE_ONLY = [
    "SessionMiddleware",
    "CsrfViewMiddleware",
    "AuthenticationMiddleware",
    "MessageMiddleware",
    "AxesMiddleware",
]
IN_PARTS = (
    b'------WebKitFormBoundaryAbC1\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n%s\r\n'
    b"------WebKitFormBoundaryAbC1--\r\n"
)
NO_BASE64 = (
    b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n!\r\n--b--\r\n"
)
FIRST_REQUESTS = """
import sys
from tests.core.wsgi import request
from edi_auth import pasta, services
from tokens.core.operations import metrics
metrics.open_files()
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
print(request("GET", "/auth/v1/ping").status, request("POST", "/auth/v1/ping").status)
print(len(services.ring().keys), len(pasta.keys().verifying), opened)
"""


def chain(handler):
    """The names of the middleware that a request to `handler` passes through."""
    names = []
    step = handler._middleware_chain
    while step is not None:
        inner = getattr(step, "__wrapped__", step)
        names.append(type(inner).__name__)
        step = getattr(inner, "get_response", None)
    return names


@pytest.mark.parametrize(
    "path", ["/", "/admin", "/admin/", "/admin/login/", "/api/docs/", "/api/schema/", "/static/a.css"]
)
def test_gives_people_the_full_chain(path):
    assert is_site_path(path)


@pytest.mark.parametrize("path", [*API_PATHS, *MISSING, "", "/nowhere", "/favicon.ico", "//", "/_/admin", "/Admin/"])
def test_gives_the_apis_the_short_chain(path):
    assert not is_site_path(path)


def test_keeps_the_short_chain_short():
    assert chain(application.api)[:-1] == ["RequestMiddleware"]


def test_opens_no_file_for_the_first_requests(tmp_path):
    """A worker that is out of descriptors could not, and would hang up without an answer."""
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = run(PYTHON, "-c", FIRST_REQUESTS, environment=BARE | environment)
    assert done.stdout == "200 405\n1 1 []\n"


@pytest.mark.parametrize("name", ["RequestMiddleware", "SecurityMiddleware", *SITE_ONLY])
def test_leaves_the_full_chain_as_the_settings_have_it(name):
    assert name in chain(application.site)


@pytest.mark.parametrize("path", [*API_PATHS, *MISSING, "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_sets_no_cookie_and_reads_none_at_an_api(method, path):
    answer = request(method, path, b"{}", HTTP_COOKIE="sessionid=x; csrftoken=y")
    assert answer.header("Set-Cookie") == []
    assert "cookie" not in str(answer.header("Vary")).lower()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_asks_an_api_client_for_no_csrf_token(method):
    assert request(method, "/_/token", b"{}").status == 401


@pytest.mark.parametrize("path", ["/token/", "/_/token/", "/_/token/value/", "/auth/v1/key/", "/auth/v1/ping/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirects_nobody_to_a_path_without_its_slash(method, path):
    answer = request(method, path, b"{}")
    assert answer.status == 404
    assert answer.header("Location") == []


@pytest.mark.parametrize(
    ("path", "keys"), [("/token/x", {"error"}), ("/_/x", {"error"}), ("/auth/v1/x", {"msg", "method"})]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_speaks_the_dialect_of_the_api_where_it_has_no_route(method, path, keys):
    answer = request(method, path, b"{}", HTTP_ACCEPT="text/html")
    assert answer.status == 404
    assert set(answer.json()) == keys


@pytest.mark.parametrize("path", ["/", "/nowhere", "/_/token", "/token", "/auth/v1/ping", "/admin/login/"])
def test_sends_no_body_for_head(path):
    get, head = request("GET", path), request("HEAD", path)
    assert (head.status, head.body) == (get.status, b"")
    assert head.header("Content-Type") == get.header("Content-Type")


def test_asks_no_api_client_for_a_host_that_is_allowed():
    assert request("GET", "/auth/v1/ping", HTTP_HOST="registry.internal").body == b"pong"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html; charset*=nowhere''x",
        "text/html; charset*=idna''%ff",
        "text/html; a*" + "9" * 5000 + "=b",
        "application/x-www-form-urlencoded; charset=base64",
        "multipart/form-data; boundary=b; charset=undefined",
        "multipart/form-data; boundary=\xff",
    ],
    ids=lambda content_type: ascii(content_type)[:50],
)
@pytest.mark.parametrize("path", ["/", "/admin/login/", "/api/schema/", "/static/x", f"/admin/?{'a&' * 1500}"])
def test_takes_a_body_that_nobody_can_describe_so_for_no_form(path, content_type):
    for method in ("GET", "POST"):
        cookie = f"csrftoken={'a' * 32}"
        assert request(method, path, b"a=b", CONTENT_TYPE=content_type, HTTP_COOKIE=cookie).status < 500


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"csrfmiddlewaretoken=%s"),
        ("application/x-www-form-urlencoded; charset=UTF-8", b"csrfmiddlewaretoken=%s"),
        ("multipart/form-data; boundary=----WebKitFormBoundaryAbC1", IN_PARTS),
    ],
    ids=["plain", "with a charset", "in parts"],
)
def test_reads_the_forms_that_browsers_send(content_type, body):
    token = "a" * 32
    answer = request(
        "POST", "/admin/login/", body % token.encode(), CONTENT_TYPE=content_type, HTTP_COOKIE=f"csrftoken={token}"
    )
    assert answer.status == 200


class Unread(io.RawIOBase):
    """A body that nobody may read."""

    def read(self, size=-1):
        raise AssertionError("It was read.")


def test_reads_no_form_that_is_too_large(caplog):
    description = {"CONTENT_TYPE": "multipart/form-data; boundary=b", "HTTP_COOKIE": f"csrftoken={'a' * 32}"}
    answer = request("POST", "/admin/login/", Unread(), CONTENT_LENGTH="65537", **description)
    assert answer.status == 400
    assert [(record.getMessage(), record.exc_info) for record in caplog.records] == [("The form is too large.", None)]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("multipart/form-data; boundary=b", NO_BASE64), ("application/x-www-form-urlencoded", b"a" * 65537)],
    ids=["makes no sense", "too large"],
)
def test_refuses_a_body_at_a_host_that_is_not_allowed(content_type, body):
    description = {"CONTENT_TYPE": content_type, "HTTP_COOKIE": f"csrftoken={'a' * 32}"}
    assert request("POST", "/admin/login/", body, HTTP_HOST="evil.example", **description).status == 400


@pytest.mark.parametrize("path", ["/nowhere", "/static/nowhere"])
@pytest.mark.parametrize("accept", ["text/html; a*=nowhere''b", "a/b; c*=idna''%ff"])
def test_finds_nothing_whatever_is_accepted(path, accept):
    assert request("GET", path, HTTP_ACCEPT=accept).status == 404


def test_refuses_people_a_host_that_is_not_allowed():
    assert request("GET", "/", HTTP_HOST="evil.example").status == 400


@pytest.mark.parametrize(
    "path", ["/\x00", "/%00", "/_/\xff\xfe", "/auth/v1/\x00", "/static/../config/settings.py", "/" + "x" * 5000]
)
def test_answers_a_path_that_makes_no_sense(path):
    assert request("GET", path).status in {400, 404}
