"""The account of a chaos run notices what it is there to notice."""

import http.client
import json
import threading

import pytest

from tests.chaos.__main__ import Account, audit, verify
from tests.chaos.load import Client
from tests.server.registry import Answer


class Fake:
    """A registry that answers from a list of tokens and a set of usable credentials."""

    bearer = "the-bearer"

    def __init__(self, rows=(), usable=(), census=None):
        self.rows, self.usable, self.census = list(rows), set(usable), census

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1")

    def call(self, method, path, body=None, **headers):
        found = {"data": self.rows} if path == "/_/token" else {"active": body["token"] in self.usable}
        return Answer(200, http.client.HTTPMessage(), json.dumps(found).encode())

    def manage(self, *arguments):
        return json.dumps({"mismatches": 0, "updates": 0, "uses": 0, "performance": 0} | self.census)


@pytest.fixture
def told():
    """A client that was told of one active token, one that is switched off, one revoked and one performance token."""
    client = Client(0, Fake(), threading.Event())
    client.known.active = {"on": True, "off": False}
    client.known.values = {"on": "value-on", "off": "value-off"}
    client.known.revoked = {"gone": "value-gone"}
    client.known.performance = ["minted"]
    return client


ROWS = [{"name": "on", "active": True}, {"name": "off", "active": False}]


@pytest.mark.parametrize(
    ("rows", "usable", "lost", "resurrected"),
    [
        (ROWS, {"value-on", "minted"}, 0, 0),
        (ROWS[1:], {"value-on", "minted"}, 1, 0),
        (ROWS, {"minted"}, 1, 0),
        (ROWS, {"value-on"}, 1, 0),
        (ROWS, {"value-on", "value-off", "minted"}, 1, 0),
        (ROWS, {"value-on", "value-gone", "minted"}, 0, 1),
        ([*ROWS, {"name": "gone", "active": True}], {"value-on", "minted"}, 0, 1),
    ],
)
def test_counts_what_was_lost_and_what_rose_again(told, monkeypatch, rows, usable, lost, resurrected):
    made, account = Fake(rows, usable), Account("a database")
    monkeypatch.setattr("tests.chaos.__main__.send", lambda connection, *args, **headers: made.call(*args, **headers))
    verify(told, made, account)
    assert (account.count("lost"), account.count("resurrected")) == (lost, resurrected)


@pytest.mark.parametrize(
    ("census", "failures"),
    [
        ({"uses": 3}, set()),
        ({"uses": 5}, set()),
        ({"uses": 2}, {"lost"}),
        ({"uses": 9}, {"resurrected"}),
        ({"uses": 3, "mismatches": 1}, {"audit"}),
    ],
)
def test_holds_counts_against_what_was_acknowledged(told, census, failures):
    told.known.sent["exchange"], told.known.acknowledged["exchange"] = 5, 3
    account = Account("a database")
    audit([told], Fake(census=census), account)
    assert set(account.failures) == failures


@pytest.mark.parametrize(
    ("crashes", "uses", "failures"),
    [([100.0], 1, set()), ([100.0], 0, {"lost"}), ([], 1, {"lost"}), ([99.0], 1, {"lost"}), ([101.0], 1, {"lost"})],
)
def test_lets_a_crash_of_the_database_forget_the_last_uses(told, crashes, uses, failures):
    told.known.sent["exchange"], told.known.acknowledged["exchange"] = 5, 3
    told.known.exchanged_at = [99.3, 99.5, 100.2]
    account = Account("a database", crashes=crashes)
    audit([told], Fake(census={"uses": uses}), account)
    assert set(account.failures) == failures


@pytest.mark.parametrize(("status", "is_wrong"), [(200, False), (503, False), (500, True), (404, True), (0, False)])
def test_takes_no_other_failure_than_503(told, monkeypatch, status, is_wrong):
    monkeypatch.setattr("tests.chaos.load.send", lambda *args, **kwargs: Answer(status, http.client.HTTPMessage(), b""))
    told.call("exchange", "POST", "/auth/v1/key")
    assert bool(told.known.wrong) is is_wrong
