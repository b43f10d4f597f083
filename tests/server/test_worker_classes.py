"""Every worker class of gunicorn, the application loaded before the fork and after it: each worker does its part."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import psutil
import psycopg
import pytest

from tests.server import registry
from tests.server.conftest import new_database
from tests.server.registry import Registry, free_port, until

CLASSES = ["sync", "config.worker.Worker", "gevent"]
INTERVAL = 1
# What a machine that is busy with other tests may take longer.
PATIENCE = 8
PINGS = 3
MAKE = """
import json
from edi_auth import services
from tokens.core.audit import SYSTEM
made = {}
for name in %r:
    profile = services.add_profile(idp="ldap", idp_uid="uid=" + name, actor=SYSTEM)
    made[name] = profile.edi_id, services.mint_key("key", owner=profile, actor=SYSTEM).secret
print(json.dumps(made))
"""


@dataclass
class Shop:
    """A registry of its own, whom it knows (EDI-ID and API key by name), and how often they have refreshed."""

    registry: Registry
    people: dict[str, tuple[str, str]]
    refreshes: int = 0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Somebody for each way to serve, and an administrator."""
    folder = tmp_path_factory.mktemp("classes")
    names = ["admin", *(f"{name}-{when}" for name in CLASSES for when in ("before", "after"))]
    with new_database(folder, "classes") as url:
        made = registry.new(folder, url)
        people = json.loads(made.manage("shell", "-v", "0", "-c", MAKE % names))
        made.environment |= {"EDI_ADMIN_IDS": people["admin"][0], "EDI_REVOCATION_SECONDS": str(INTERVAL)}
        yield Shop(made, people)


@contextmanager
def alone(worker: psutil.Process, workers: list[psutil.Process]) -> Iterator[None]:
    """Have `worker` alone answer: the others stand still."""
    others = [other for other in workers if other != worker]
    for other in others:
        other.suspend()
    try:
        yield
    finally:
        for other in others:
            other.resume()


def served_by(shop, worker_class, when):
    """The registry, about to be served by workers of that class which load the application `when` they are forked."""
    environment = {**shop.registry.environment, "GUNICORN_CMD_ARGS": f"--worker-class {worker_class}"}
    arguments = ("manage.py", "serve")
    if when == "after":
        config = shop.registry.folder / "gunicorn.py"
        config.write_text("from config.gunicorn import *\npreload_app = False\n")
        arguments = ("-m", "gunicorn", "--config", str(config))
        environment |= {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": "."}
    return replace(shop.registry, port=free_port(), environment=environment, arguments=arguments)


def tallied(url):
    """How many refreshes are stored in the database."""
    connect = psycopg.connect if url.startswith("postgres") else sqlite3.connect
    with closing(connect(url.removeprefix("sqlite:///"))) as connection:
        (count,) = connection.execute(
            "SELECT sum(count) FROM tokens_dailycount WHERE name = 'edi_auth:refresh'"
        ).fetchone()
    return int(count or 0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("worker_class", CLASSES)
def test_tells_every_worker_of_a_revocation_and_counts_what_each_has_done(shop, worker_class, when):
    (edi_id, key), (_, admin_key) = shop.people[f"{worker_class}-{when}"], shop.people["admin"]
    with served_by(shop, worker_class, when).serving() as server:
        until(lambda: len(psutil.Process(server.pid).children()) == 2, seconds=INTERVAL + PATIENCE)
        workers = psutil.Process(server.pid).children()
        pair = {name: value for name, value in exchange(server, key).items() if name.endswith("-token")}

        def refresh():
            return server.call("POST", "/auth/v1/token/refresh", pair).status

        def refused():
            status = refresh()
            shop.refreshes += status == 200
            return status == 403

        for worker in workers:
            with alone(worker, workers):
                assert refresh() == 200
                assert {server.call("GET", "/auth/v1/ping").body for _ in range(PINGS)} == {b"pong"}
        shop.refreshes += 2
        cookie = f"edi-token={exchange(server, admin_key)['edi-token']}"
        assert server.call("PUT", f"/auth/v1/token/{edi_id}", Cookie=cookie).status == 200
        for worker in workers:
            with alone(worker, workers):
                until(refused, seconds=INTERVAL + PATIENCE)
        assert server.pings() == 2 * PINGS
        assert server.call("GET", "/readyz").json()["checks"]
        assert psutil.Process(server.pid).children() == workers
    assert "Traceback" not in server.log
    assert "TIMEOUT" not in server.log
    assert tallied(server.environment["DATABASE_URL"]) == shop.refreshes


def exchange(server, key):
    """The answer to an API key."""
    answer = server.call("POST", "/auth/v1/key", {"key": key})
    assert answer.status == 200
    return answer.json()


def test_lets_go_of_who_stops_in_the_middle_of_a_body_where_the_kernel_does_not(shop):
    half = b"POST /auth/v1/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n" + b'{"key": '
    with (
        served_by(shop, "gevent", "before").serving() as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as client,
    ):
        client.sendall(half)
        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
