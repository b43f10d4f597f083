"""The documents' own requests against a real server, changed in nothing but host and credentials."""

import json
import re

import pytest

from tests.core.process import ROOT

PODCAST = r"""curl --location --request GET 'http://localhost:7000/token' \
--header 'x-pub-key: your-public-key' \
"""
KEY = r"""curl -X POST https://auth.edirepository.org/auth/v1/key \
-d '{
  "key": "R9arQwYMFqdgVVYt7jqcsxfyPyU"
}'
"""
REFRESH = r"""curl -X POST https://auth.edirepository.org/auth/v1/key \
-d '{
  "pasta-token": "uid=EDI,o=EDI,dc=edirepository...",
  "edi-token": "eyJhbGciOiJFUzI1NiIsInR5cCI6I...",
}'
"""
EXAMPLE = {"name": "example", "expiration_date": 1632960000000, "active": True, "write": True}


def mended(line):
    """The refresh example without its two slips: the path is that of the key exchange, and a comma too many."""
    return line.replace("/auth/v1/key", "/auth/v1/token/refresh").replace('...",\n}', '..."\n}')


def ready(line, server, **credentials):
    """`line` with the server's host and real credentials."""
    line = re.sub(r"https://auth\.edirepository\.org|http://localhost:7000", server.url, line)
    for shown, real in credentials.items():
        line = line.replace(shown, real)
    return line


def exchange(server):
    return server.sh(ready(KEY, server, R9arQwYMFqdgVVYt7jqcsxfyPyU=server.api_key))


def test_fetches_a_podcast_performance_token(server):
    answer = server.sh(ready(PODCAST, server).replace("your-public-key", server.public_key))
    assert answer.status == 200
    assert re.fullmatch(r"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9\.[\w-]+\.[\w-]+", answer.json()["token"])


def test_fetches_none_with_the_key_of_the_document(server):
    answer = server.sh(ready(PODCAST, server))
    assert answer.status == 400
    assert answer.json()["error"] == "Invalid public key"


def test_exchanges_an_api_key(server):
    answer = exchange(server)
    assert answer.status == 200
    assert answer.json()["msg"] == "Token created successfully"
    assert answer.json()["method"] == "getTokenByKey"
    assert {"edi-token", "pasta-token"} <= set(answer.json())


def test_exchanges_none_with_the_key_of_the_document(server):
    answer = server.sh(ready(KEY, server))
    assert answer.status == 401
    assert answer.json() == {"msg": "Invalid API key", "method": "getTokenByKey"}


def test_renews_tokens_with_the_mended_example(server):
    pair = exchange(server).json()
    line = ready(mended(REFRESH), server)
    line = line.replace("uid=EDI,o=EDI,dc=edirepository...", pair["pasta-token"])
    line = line.replace("eyJhbGciOiJFUzI1NiIsInR5cCI6I...", pair["edi-token"])
    answer = server.sh(line)
    assert answer.status == 200
    assert answer.json()["msg"] == "PASTA and EDI tokens refreshed successfully"
    assert answer.json()["method"] == "refreshToken"
    assert {"edi-token", "pasta-token"} <= set(answer.json())


def test_refuses_the_example_with_its_slips(server):
    answer = server.sh(ready(REFRESH, server))
    assert answer.status == 400
    assert answer.json() == {"msg": "The body is not valid JSON.", "method": "getTokenByKey"}


def test_answers_the_ping(server):
    answer = server.sh(f"curl {server.url}/auth/v1/ping")
    assert (answer.status, answer.body) == (200, b"pong")


def test_manages_named_tokens(server):
    def call(method, path, body=None):
        data = "" if body is None else f" -d '{json.dumps(body, indent=2)}'"
        return server.sh(f"curl -X {method} '{server.url}{path}' -H 'Authorization: Bearer {server.bearer}'{data}")

    created = call("POST", "/_/token", EXAMPLE)
    assert created.status == 201
    (row,) = created.json()["data"]
    assert {name: row[name] for name in EXAMPLE} == EXAMPLE
    listed = call("GET", "/_/token")
    assert listed.status == 200
    assert "example" in [token["name"] for token in listed.json()["data"]]
    updated = call("PUT", "/_/token", {**EXAMPLE, "active": False})
    assert (updated.status, updated.json()["data"][0]["active"]) == (200, False)
    value = call("GET", "/_/token/value?name=example")
    assert value.json() == {"data": [{"token": row["token"]}]}
    assert call("DELETE", "/_/token", {"name": "example"}).status == 200
    assert call("GET", "/_/token/value?name=example").status == 404


@pytest.mark.parametrize("path", ["/token", "/_/token", "/auth/v1/key"])
def test_answers_the_lines_that_init_prints(server, path):
    (line,) = (thing["example"] for thing in server.made if f"{server.url}{path} " in thing["example"])
    assert line.startswith(f"curl {server.url}{path} ")
    assert server.sh(line).status == 200


def test_prints_the_same_lines_for_people(server):
    assert all(thing["example"].startswith("curl ") for thing in server.made if thing["example"])
    assert len([thing for thing in server.made if thing["example"]]) == 3


def test_leaves_no_file_in_the_project(server):
    assert server.folder not in ROOT.parents
    assert {path.name for path in server.folder.iterdir()} >= {".env", "keys", "log"}
