"""The database, or the network before it, is there, takes everything and answers nothing."""

import gc
import select
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.faults.test_database_away import (
    APIS,
    CONNECTIONS,
    ELSEWHERE,
    PROMPT_SECONDS,
    assert_unavailable,
    calls,
    connections_of_a_crowd,
    pair_of,
    timed,
    until_well,
)
from tests.server.registry import free_port
from tokens.core.postgresql.base import Connection


class Network:
    """A port of this machine before the socket of a PostgreSQL, which can be made to swallow everything."""

    def __init__(self, url):
        folder = parse_qs(urlsplit(url).query)["host"][0]
        self._target = next(str(path) for path in Path(folder).glob(".s.PGSQL.*") if path.is_socket())
        self._open = threading.Event()
        self._open.set()
        self._last = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def silent(self, *, last=b""):
        """Take connections and bytes meanwhile, and pass none of them on; begin when `last` has been passed on."""
        self._last = last
        if not last:
            self._open.clear()
        try:
            yield
        finally:
            self._last = b""
            self._open.set()

    def close(self):
        self._listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                threading.Thread(target=self._relay, args=(client, server), daemon=True).start()

    def _relay(self, client, server):
        with client, server, suppress(OSError):
            while True:
                for source in select.select([client, server], [], [])[0]:
                    chunk = source.recv(65536)
                    if not chunk:
                        return
                    self._open.wait()
                    (server if source is client else client).sendall(chunk)
                    if self._last and source is client and self._last in chunk:
                        self._open.clear()


@pytest.fixture(scope="module")
def network(database):
    made = Network(database.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def behind(server, network, tmp_path_factory):
    """The same registry, served to a database behind that network."""
    port, url = free_port(), f"postgres://postgres@127.0.0.1:{network.port}/postgres"
    environment = server.environment | {"DATABASE_URL": url, "PORT": str(port)}
    other = replace(server, folder=tmp_path_factory.mktemp("registry"), port=port, environment=environment)
    with other.serving():
        yield other


@pytest.fixture(scope="module", params=["frozen", "swallowed"])
def place(request, server, database, network):
    """A server, what silences its database, and how many connections there may be to that."""
    if request.param == "frozen":
        return server, database.frozen, CONNECTIONS
    return request.getfixturevalue("behind"), network.silent, 2 * CONNECTIONS


@pytest.fixture(scope="module")
def silent(place):
    """What each route answered while the database was silent, how soon, and how long its return took."""
    server, silence, _ = place
    until_well(server)
    pair = pair_of(server)
    refresh = ("POST", "/auth/v1/token/refresh", pair, {})
    seen = {"crowds": [], "refreshes": []}
    with silence(), ThreadPoolExecutor(16) as clients:
        # All threads of the server are busy with statements that were never answered; then it knows.
        for _ in range(2):
            crowd = [clients.submit(timed, server, call) for name, call in calls(server).items() if name in APIS]
            refreshes = [clients.submit(timed, server, refresh) for _ in range(4)]
            seen["crowds"] += [future.result() for future in crowd]
            seen["refreshes"] += [future.result() for future in refreshes]
        for name, call in calls(server).items():
            seen[name] = timed(server, call)
        seen["metrics"] = timed(server, ("GET", "/metrics", None, {}))
        until = time.monotonic() + 5
        while time.monotonic() < until:
            timed(server, calls(server)["list"])
            seen["refreshes"].append(timed(server, refresh))
            time.sleep(0.1)
    seen["return"] = until_well(server)
    seen["ready after"] = timed(server, calls(server)["ready"])
    return seen


@pytest.mark.parametrize("name", APIS)
def test_answers_503_in_its_dialect(silent, name):
    answer, seconds = silent[name]
    assert_unavailable(answer, name)
    assert seconds < PROMPT_SECONDS


@pytest.mark.parametrize("name", ELSEWHERE)
def test_answers_503_elsewhere_too(silent, name):
    answer, seconds = silent[name]
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert seconds < PROMPT_SECONDS


def test_keeps_no_crowd_waiting(silent):
    assert {answer.status for answer, _ in silent["crowds"]} == {503}
    # Eight requests and four threads: the second half waits for the first.
    assert max(seconds for _, seconds in silent["crowds"]) < 2 * PROMPT_SECONDS


def test_goes_on_refreshing(silent):
    assert {answer.status for answer, _ in silent["refreshes"]} == {200}
    assert max(seconds for _, seconds in silent["refreshes"]) < PROMPT_SECONDS


def test_shows_it_to_prometheus(silent):
    answer, seconds = silent["metrics"]
    assert b"registry_database_up 0.0" in answer.body
    assert seconds < PROMPT_SECONDS


def test_mends_itself_within_two_seconds(silent):
    assert silent["return"] < PROMPT_SECONDS
    assert silent["ready after"][0].json()["failed"] == []


def test_stored_nothing_that_it_said_it_had_not(silent, place):
    """None of these statements had been answered, so that none of their transactions was committed."""
    server, _, _ = place
    names = [row["name"] for row in server.call("GET", "/_/token", **calls(server)["list"][3]).json()["data"]]
    assert "while-away" not in names


def test_hangs_up_after_an_attempt_that_nobody_answered():
    gc.disable()
    try:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            with pytest.raises(psycopg.OperationalError):
                Connection.connect(host="127.0.0.1", port=silent.getsockname()[1], connect_timeout=2)
            attempts, _ = silent.accept()
            with attempts:
                attempts.settimeout(PROMPT_SECONDS)
                while attempts.recv(1024):
                    pass
    finally:
        gc.enable()


def test_leaks_no_connection(place, database):
    server, silence, most = place
    for _ in range(2):
        with silence():
            timed(server, calls(server)["list"])
        until_well(server)
    assert 1 <= connections_of_a_crowd(server, database, most=most) <= most


def test_waits_for_no_lock_longer_and_leaves_nobody_in_the_queue(place, database):
    server, _, _ = place
    until_well(server)
    with psycopg.connect(database.url) as connection:
        connection.execute("LOCK TABLE edi_auth_apikey IN ACCESS EXCLUSIVE MODE")
        answer, seconds = timed(server, calls(server)["key"])
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert seconds < PROMPT_SECONDS
        # Everybody else is served meanwhile: it is not the database that is away.
        assert timed(server, calls(server)["list"])[0].status == 200
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE %'"
        assert connection.execute(waiting).fetchone()[0] == 0
        connection.rollback()
    assert timed(server, calls(server)["key"])[0].status == 200


def test_takes_nothing_for_done_that_was_not_confirmed(behind, network):
    """It may have been done all the same; then it is on record, once and whole, and nobody has the credential."""
    until_well(behind)
    bearer = calls(behind)["list"][3]
    create = ("POST", "/_/token", {"name": "unconfirmed"}, bearer)
    with network.silent(last=b"unconfirmed"):
        answer, seconds = timed(behind, create)
    assert (answer.status, set(answer.json())) == (503, {"error"})
    assert seconds < PROMPT_SECONDS
    until_well(behind)
    assert timed(behind, create)[0].status == 409
    events = (
        "from tokens.core.models import AuditEvent as A; print(A.objects.filter(object_label='unconfirmed').count())"
    )
    assert int(behind.manage("shell", "-v", "0", "-c", events)) == 1


def test_writes_no_traceback_of_all_this(place):
    server, _, _ = place
    assert [line for line in server.log.splitlines() if "Traceback" in line] == []
