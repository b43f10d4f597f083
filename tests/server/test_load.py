"""Many clients at once."""

from concurrent.futures import ThreadPoolExecutor

CLIENTS = 30
COUNT = "from edi_auth.models import ApiKey; print(ApiKey.objects.get(name={!r}).use_count)"


def test_counts_every_use_of_a_key(server):
    owner = server.manage(
        "shell", "-v", "0", "-c", "from edi_auth.models import Profile; print(Profile.objects.get().edi_id)"
    )
    key = server.manage("mint_api_key", owner.strip(), "busy").strip()

    def exchange(_):
        return server.call("POST", "/auth/v1/key", {"key": key}).status

    with ThreadPoolExecutor(CLIENTS) as clients:
        statuses = list(clients.map(exchange, range(CLIENTS)))
    assert statuses == [200] * CLIENTS
    assert int(server.manage("shell", "-v", "0", "-c", COUNT.format("busy"))) == CLIENTS


def test_stores_every_performance_token(server):
    def fetch(_):
        return server.call("GET", "/token", X_PUB_KEY=server.public_key)

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(fetch, range(CLIENTS)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json()["token"] for answer in answers}) == CLIENTS


def test_lets_one_of_many_have_a_name(server):
    def create(_):
        bearer = f"Bearer {server.bearer}"
        return server.call("POST", "/_/token", {"name": "wanted"}, Authorization=bearer).status

    with ThreadPoolExecutor(CLIENTS) as clients:
        statuses = sorted(clients.map(create, range(CLIENTS)))
    assert statuses == [201] + [409] * (CLIENTS - 1)
