"""A real server on a PostgreSQL that tests may stop, kill and start again, and one on an embedded database."""

from collections.abc import Iterator

import pytest

from tests.postgres import Cluster, cluster
from tests.server import registry
from tests.server.registry import Registry
from tests.settings import IS_SQLITE


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry on an embedded database, for each module another, which is not served yet."""
    return registry.new(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="package")
def database() -> Iterator[Cluster]:
    """The PostgreSQL."""
    if IS_SQLITE:
        pytest.skip("Runs with the tests on PostgreSQL.")
    with cluster() as made:
        yield made


@pytest.fixture(scope="package")
def server(database: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The server, with two workers of two threads."""
    made = registry.new(tmp_path_factory.mktemp("registry"), database.url)
    made.environment |= {"THREADS": "2", "EDI_REVOCATION_SECONDS": "1"}
    with made.serving():
        yield made
