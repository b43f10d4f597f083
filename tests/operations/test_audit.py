"""`make audit` asks for every pin, and is never content without an answer. The database of vulnerabilities is ours."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests import audit
from tests.core.process import BARE, PYTHON, ROOT, run
from tests.server.registry import free_port

FOUND = {
    "id": "GHSA-0000-0000-0000",
    "modified": "2027-01-01T00:00:00Z",
    "summary": "Everybody may do everything",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "django"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}],
        }
    ],
}
# No other way into the network than to our own database.
ENVIRONMENT = {**BARE, "UV_HTTP_RETRIES": "0", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}


class Database(ThreadingHTTPServer):
    """As much of OSV's API as `uv audit` asks; `vulnerable` names the packages of which something is known."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: dict[str, str] = {}
        self.vulnerable: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    server: Database

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        self.server.asked |= {query["package"]["name"]: query["version"] for query in queries}
        known = {"vulns": [{"id": FOUND["id"], "modified": FOUND["modified"]}]}
        found = [known if query["package"]["name"] in self.server.vulnerable else {} for query in queries]
        self.answer({"results": found})

    def do_GET(self) -> None:
        self.answer(FOUND)

    def answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def database() -> Iterator[Database]:
    with Database() as database:
        thread = threading.Thread(target=database.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield database
        database.shutdown()
        thread.join()


def audited(port):
    return run(PYTHON, "-m", "tests.audit", "--service-url", f"http://127.0.0.1:{port}", environment=ENVIRONMENT)


def test_knows_every_pin():
    for name in ("requirements.txt", "requirements-dev.txt"):
        pinned = re.findall(r"^(\S+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
        assert len(pinned) > 20
        assert set(pinned) <= set(audit.pins().items())


def test_is_content_when_nothing_is_known_of_any_pin(database):
    done = audited(database.server_port)
    assert (done.returncode, database.asked) == (0, audit.pins()), done.stderr


def test_names_what_is_vulnerable(database):
    database.vulnerable.add("django")
    done = audited(database.server_port)
    assert done.returncode == 1, done.stderr
    assert f"django {audit.pins()['django']} has 1 known vulnerability" in done.stdout + done.stderr
    assert FOUND["id"] in done.stdout + done.stderr


def test_is_not_content_without_an_answer():
    assert audited(free_port()).returncode not in {0, 1}
