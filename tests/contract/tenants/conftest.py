"""A server for the run, and the admin API of tenants over it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from actors.shards.setup import set_up_shards
from cache.connection import RedisConnection
from cluster.postgres import PostgresServer
from services.tenants.move_ports import Moves
from tests.contract.tenants.bench import KEY, Bench
from tests.contract.tenants.movers import Mover
from tests.servers import postgres


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres(tmp_path_factory.mktemp("pg")) as started:
        asyncio.run(set_up_shards(started.dsn, KEY))
        yield started


MakeBench = Callable[..., Bench]


@pytest.fixture
async def make_bench() -> AsyncIterator[MakeBench]:
    made: list[Bench] = []

    def make(*arguments: str, redis: RedisConnection | None = None, moves: Moves | None = None) -> Bench:
        made.append(Bench(*arguments, redis=redis, moves=moves))
        return made[-1]

    yield make
    for bench in made:
        await bench.aclose()


@pytest.fixture
def bench(server: PostgresServer, make_bench: MakeBench) -> Bench:
    return make_bench(server.dsn, KEY)


@pytest.fixture
async def mover(bench: Bench) -> AsyncIterator[Mover]:
    mover = Mover(bench.dsn)
    yield mover
    await mover.aclose()
