"""The database goes away and comes back under a running server."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

# What a stranger to the code would call prompt: the limit, and a little for a busy machine.
PROMPT_SECONDS = 2.0 + 0.5
# Of two workers, each one per thread, one for revocations and one for the counters.
CONNECTIONS = 2 * (2 + 1 + 1)
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def calls(server):
    """One request to each route that needs the database, with credentials that are good."""
    bearer = {"Authorization": f"Bearer {server.bearer}"}
    return {
        "list": ("GET", "/_/token", None, bearer),
        "create": ("POST", "/_/token", {"name": "while-away"}, bearer),
        "update": ("PUT", "/_/token", {"name": "first", "active": True}, bearer),
        "delete": ("DELETE", "/_/token", {"name": "while-away"}, bearer),
        "value": ("GET", "/_/token/value?name=first", None, bearer),
        "key": ("POST", "/auth/v1/key", {"key": server.api_key}, {}),
        "introspect": ("POST", "/introspect", {"token": server.bearer}, bearer),
        "revoke": ("POST", "/revoke", {"token": "an-unknown-credential"}, {}),
        "podcast": ("GET", "/token", None, {"X_PUB_KEY": "an-unknown-key"}),
        "admin": ("GET", "/admin/", None, {"Cookie": f"sessionid={'x' * 32}"}),
        "ready": ("GET", "/readyz", None, {}),
    }


APIS = ("list", "create", "update", "delete", "value", "key", "introspect", "revoke")
ELSEWHERE = ("podcast", "admin", "ready")
# The names in the body of an error.
OAUTH = {"error", "error_description"}
NAMES = {"key": {"msg", "method"}, "introspect": OAUTH, "revoke": OAUTH}


def assert_unavailable(answer, name):
    """The API of the call `name` says in its own words that it cannot serve now, and when to ask again."""
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert set(answer.json()) == NAMES.get(name, {"error"})


def timed(server, call):
    method, path, body, headers = call
    begun = time.monotonic()
    answer = server.call(method, path, body, **headers)
    return answer, time.monotonic() - begun


def until_well(server, seconds=20.0):
    """How long it takes until every request succeeds, whichever process it reaches."""
    begun = last_failure = time.monotonic()
    successes = 0
    while successes < 40:
        now = time.monotonic()
        assert now - begun < seconds, server.call("GET", "/readyz").body
        answer, _ = timed(server, calls(server)["list"])
        successes = successes + 1 if answer.status == 200 else 0
        last_failure = last_failure if answer.status == 200 else now
        time.sleep(0.02)
    return last_failure - begun


def connections_of_a_crowd(server, database, *, most):
    """How many connections the database has after a crowd was there; those that were hung up on may take a moment."""
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: timed(server, calls(server)["list"]), range(80)))
    deadline = time.monotonic() + 5
    with psycopg.connect(database.url, autocommit=True) as connection:
        while (number := connection.execute(OTHERS).fetchone()[0]) > most and time.monotonic() < deadline:
            time.sleep(0.1)
    return number


def pair_of(server):
    pair = server.call("POST", "/auth/v1/key", {"key": server.api_key}).json()
    return {"pasta-token": pair["pasta-token"], "edi-token": pair["edi-token"]}


@pytest.fixture(scope="module")
def away(server, database):
    """What each route answered while the database was away, how soon, and how long its return took."""
    until_well(server)
    pair = pair_of(server)
    database.stop()
    try:
        seen = {name: timed(server, call) for name, call in calls(server).items()}
        seen["refresh"] = timed(server, ("POST", "/auth/v1/token/refresh", pair, {}))
        seen["health"] = timed(server, ("GET", "/healthz", None, {}))
        seen["metrics"] = timed(server, ("GET", "/metrics", None, {}))
        with ThreadPoolExecutor(12) as clients:
            crowd = [clients.submit(timed, server, calls(server)["key"]) for _ in range(12)]
            refreshes = [timed(server, ("POST", "/auth/v1/token/refresh", pair, {})) for _ in range(5)]
            seen["crowd"] = [future.result() for future in crowd]
        seen["refreshes"] = refreshes
        # As long as an outage that a person notices: nothing may have grown slack meanwhile.
        until = time.monotonic() + 5
        while time.monotonic() < until:
            timed(server, calls(server)["list"])
            time.sleep(0.2)
    finally:
        database.start()
    seen["return"] = until_well(server)
    seen["ready after"] = timed(server, calls(server)["ready"])
    return seen


@pytest.mark.parametrize("name", APIS)
def test_answers_503_in_its_dialect(away, name):
    assert_unavailable(away[name][0], name)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_answers_503_elsewhere_too(away, name):
    answer, _ = away[name]
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


@pytest.mark.parametrize("name", [*APIS, *ELSEWHERE])
def test_keeps_nobody_waiting(away, name):
    assert away[name][1] < PROMPT_SECONDS


def test_keeps_no_crowd_waiting(away):
    assert {answer.status for answer, _ in away["crowd"]} == {503}
    assert max(seconds for _, seconds in away["crowd"]) < PROMPT_SECONDS


def test_goes_on_refreshing(away):
    assert away["refresh"][0].status == 200
    assert {answer.status for answer, _ in away["refreshes"]} == {200}
    assert max(seconds for _, seconds in away["refreshes"]) < PROMPT_SECONDS


def test_says_that_it_lives_but_is_not_ready(away):
    assert away["health"][0].status == 200
    assert away["ready"][0].json()["failed"] == ["database"]
    assert b"registry_database_up 0.0" in away["metrics"][0].body


def test_mends_itself_within_two_seconds(away):
    assert away["return"] < PROMPT_SECONDS


def test_is_ready_after_that(away):
    assert away["ready after"][0].json()["failed"] == []


def test_stored_nothing_meanwhile(away, server):
    names = [row["name"] for row in server.call("GET", "/_/token", **calls(server)["list"][3]).json()["data"]]
    assert "while-away" not in names


def test_hands_out_no_connection_from_before_a_restart(server, database):
    until_well(server)
    with ThreadPoolExecutor(8) as clients:  # have as many connections in the pools as there can be
        list(clients.map(lambda _: timed(server, calls(server)["list"]), range(40)))
    database.stop()
    database.start()
    time.sleep(2.5)  # whoever noticed the restart has tried again by now
    assert [timed(server, calls(server)["list"])[0].status for _ in range(40)] == [200] * 40


def test_leaks_no_connection(server, database):
    for _ in range(3):
        database.stop()
        timed(server, calls(server)["list"])
        database.start()
        until_well(server)
    assert 1 <= connections_of_a_crowd(server, database, most=CONNECTIONS) <= CONNECTIONS


def test_answers_503_while_the_database_may_not_be_written(server, database):
    until_well(server)
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
    try:
        for name in ("create", "key"):
            # Each process of the database learns of it by itself.
            deadline = time.monotonic() + 5
            while (answer := timed(server, calls(server)[name])[0]).status != 503 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert_unavailable(answer, name)
        assert timed(server, calls(server)["list"])[0].status == 200
    finally:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
    until_well(server)


def test_writes_no_traceback_of_all_this(server):
    assert [line for line in server.log.splitlines() if "Traceback" in line] == []
