"""The cost of known against unknown: the same statements, in the same order, whatever the answer hides.

Wall time proves nothing on a busy machine; what a server does for a request does.
"""

import secrets
from uuid import uuid4

import pytest
from django.db import connection

from tests.attacks.doors import DOORS
from tests.contracts.specimens import SPECIMENS
from tests.factories import NamedTokenFactory, ProfileFactory, value_of
from tests.tokens.tools import encode_jws
from tokens.core.models import State

pytestmark = pytest.mark.django_db

SORT = "timing of unknown against known"


@pytest.fixture
def statements(api, tried):
    """The statements, their values left out, that a call makes; and its answer."""

    def run(call):
        made = []

        def note(execute, sql, params, many, context):
            made.append(sql)
            return execute(sql, params, many, context)

        tried()
        with connection.execute_wrapper(note):
            response = call(api)
        return made, response

    return run


def unknown_like(kind, settings):
    """Credentials of the shape of one kind that nobody has."""
    named = {"sub": str(uuid4()), "iat": 1799064000, "iss": "token"}
    performance = {"s": "lwus8z6p-00000000ffffffff", "d": "1", "iat": 1, "exp": 2}
    return {
        "named_token": [
            encode_jws({"alg": "HS256"}, named, secret="another"),
            encode_jws({"alg": "HS256"}, named, secret=settings.TOKENS_SECRET_KEY),
            encode_jws({"alg": "none"}, named, secret="another"),
        ],
        "performance_token": [
            encode_jws({"alg": "HS256"}, performance, secret="another"),
            encode_jws({"alg": "HS256"}, performance, secret=settings.PERFORMANCE_SECRET_KEY),
        ],
        "publisher": [secrets.token_urlsafe(20)],
        "api_key": [secrets.token_urlsafe(20)],
    }[kind]


STORED = ["named_token", "performance_token", "publisher", "api_key"]


@pytest.mark.parametrize("kind", STORED)
def test_makes_the_same_statements_for_what_is_dead_as_for_what_never_was(statements, snapshot, settings, kind):
    asker = value_of(NamedTokenFactory(name="asker"))

    def ask(raw):
        return statements(lambda api: api.call("POST", "/introspect", {"token": raw}, bearer=asker))

    ask("x")  # notes the use of the asker, which is written once a minute
    made = {}
    for state in SPECIMENS[kind].states:
        if state != State.ACTIVE:
            made[state], response = ask(SPECIMENS[kind].make(state, snapshot)[0])
            assert response.json() == {"active": False}
    for number, raw in enumerate(unknown_like(kind, settings)):
        made[f"unknown {number}"], response = ask(raw)
        assert response.json() == {"active": False}
    first = made["unknown 0"]
    assert first
    assert {name: queries for name, queries in made.items() if queries != first} == {}


@pytest.mark.parametrize("kind", STORED)
def test_makes_as_many_statements_for_what_is_usable_as_for_what_never_was(statements, snapshot, settings, kind):
    asker = value_of(NamedTokenFactory(name="asker"))

    def ask(raw):
        return statements(lambda api: api.call("POST", "/introspect", {"token": raw}, bearer=asker))

    ask("x")
    active, response = ask(SPECIMENS[kind].make(State.ACTIVE, snapshot)[0])
    assert response.json()["active"] is True
    for raw in unknown_like(kind, settings):
        assert len(ask(raw)[0]) == len(active)


@pytest.mark.parametrize("kind", ["edi_token", "pasta_token"])
def test_asks_the_database_about_no_token_that_it_keeps_no_row_of(statements, snapshot, kind):
    asker = value_of(NamedTokenFactory(name="asker"))
    made = {}
    for state in (*SPECIMENS[kind].states, "once more", "forged"):
        raw, _ = SPECIMENS[kind].make(state if state in SPECIMENS[kind].states else State.ACTIVE, snapshot)
        raw = f"{raw[:-8]}AAAAAA==" if state == "forged" else raw
        made[state], _ = statements(lambda api, raw=raw: api.call("POST", "/introspect", {"token": raw}, bearer=asker))
    made.pop(State.ACTIVE)
    assert len({tuple(queries) for queries in made.values()}) == 1


BEARERS = [
    ("GET", "/_/token", None),
    ("POST", "/_/token", {"name": "mine"}),
    ("GET", "/_/token/value?name=example", None),
    ("POST", "/introspect", {"token": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), BEARERS)
def test_refuses_a_dead_bearer_as_it_refuses_one_that_never_was(statements, snapshot, settings, method, path, body):
    made, said = {}, set()
    raws = {str(number): raw for number, raw in enumerate(unknown_like("named_token", settings))} | {"no JWT": "x"}
    for state in SPECIMENS["named_token"].states:
        if state != State.ACTIVE:
            raws[state] = SPECIMENS["named_token"].make(state, snapshot)[0]
    for name, raw in raws.items():
        made[name], response = statements(lambda api, raw=raw: api.call(method, path, body, bearer=raw))
        said.add((response.status_code, response.content, response["WWW-Authenticate"]))
    assert len({tuple(queries) for queries in made.values()}) == 1
    assert len(made["0"]) == 1
    assert len(said) == 1


@pytest.mark.parametrize(
    ("kind", "door", "count"), [("publisher", "fetch", 1), ("api_key", "exchange", 2)], ids=["publisher", "api_key"]
)
def test_refuses_a_dead_key_as_it_refuses_one_that_never_was(statements, snapshot, settings, kind, door, count):
    made = {}
    for state in SPECIMENS[kind].states:
        if state != State.ACTIVE:
            raw, _ = SPECIMENS[kind].make(state, snapshot)
            made[state], _ = statements(lambda api, raw=raw: DOORS[door][0](api, raw))
    made["unknown"], _ = statements(lambda api: DOORS[door][0](api, unknown_like(kind, settings)[0]))
    assert len({tuple(queries) for queries in made.values()}) == 1
    assert len(made["unknown"]) == count


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("known", [True, False])
def test_looks_for_no_profile_before_it_knows_who_asks(statements, settings, known):
    settings.EDI_SERVICE_KEY = "a-service-key"
    edi_id = ProfileFactory().edi_id if known else "EDI-" + "0" * 40
    for call in (
        lambda api: api.call("POST", f"/auth/v1/token/{edi_id}", {"key": "another"}),
        lambda api: api.call("PUT", f"/auth/v1/token/{edi_id}", headers={"Cookie": "edi-token=x.y.z"}),
        lambda api: api.call("DELETE", f"/auth/v1/token/{edi_id}"),
    ):
        made, response = statements(call)
        assert (made, response.status_code) == ([], 401)


def test_compares_the_service_key_as_a_whole(api, settings, monkeypatch, tried):
    compared = []

    def note(first, second):
        compared.append((first, second))
        return False

    monkeypatch.setattr("edi_auth.services.is_same", note)
    settings.EDI_SERVICE_KEY = "a-service-key"
    for key in ("a", "a-service-ke", "a-service-key", "x" * 1000):
        tried()
        api.call("POST", "/auth/v1/token/EDI-0", {"key": key})
    assert [(len(first), len(second)) for first, second in compared] == [(64, 64)] * 4
