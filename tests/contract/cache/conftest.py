"""A real Redis for a run, and connections to it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from cache.connection import RedisConnection
from cluster.redis_server import RedisServer
from tests.servers import PATIENT_REDIS, redis


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
async def connection(server: RedisServer) -> AsyncIterator[RedisConnection]:
    made = RedisConnection(server.url, timeouts=PATIENT_REDIS)
    await made.client.flushall()
    yield made
    await made.aclose()
