"""A Ray of the tests' own, and the servers that the actors need."""

import shutil
import tempfile
from collections.abc import Iterator

import pytest
import ray

from cluster.postgres import PostgresServer
from tests.servers import postgres


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Started once for the run. Actors that a test makes are its own to end."""
    # A short path: Ray's sockets are in it.
    folder = tempfile.mkdtemp(prefix="ray")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        namespace="spaza",
        object_store_memory=100_000_000,
        _temp_dir=folder,
    )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server with 32 empty databases."""
    with postgres(tmp_path_factory.mktemp("pg")) as server:
        yield server
