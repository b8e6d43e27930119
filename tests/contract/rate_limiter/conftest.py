"""A real Redis for the limiter's counters."""

from collections.abc import Iterator

import pytest

from cluster.redis_server import RedisServer
from tests.servers import redis


@pytest.fixture(scope="session")
def counters_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis(tmp_path_factory.mktemp("rlc")) as started:
        yield started
