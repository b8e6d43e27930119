"""Several hosts in a DSN: whatever the others do, the one that takes writes is found, and in time."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from actors.shards.finding import Servers, connect
from tests.contract.shards.calls import PATIENCE_S
from tests.contract.shards.conftest import Shards
from tests.peers import refused_port


def _hosts(shards: Shards, *ports: int) -> str:
    url = urlsplit(shards.server.tcp_dsn)
    named = ",".join(f"127.0.0.1:{port or url.port}" for port in ports)
    return f"postgresql://{url.username}:{url.password}@{named}/postgres"


class Silent:
    """A server that takes up connections and says nothing, as one that hangs."""

    def __init__(self) -> None:
        self.port, self.knocks = 0, 0
        self._writers: list[asyncio.StreamWriter] = []

    async def hold(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        self._writers.append(writer)

    def end(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@pytest.fixture
async def silent() -> AsyncIterator[Silent]:
    held = Silent()
    server = await asyncio.start_server(held.hold, "127.0.0.1", 0)
    held.port = server.sockets[0].getsockname()[1]
    yield held
    server.close()
    held.end()
    await asyncio.sleep(0)
    await server.wait_closed()


@pytest.fixture
def away() -> Iterator[int]:
    with refused_port() as port:
        yield port


async def test_a_server_that_is_away_or_hangs_does_not_keep_others_from_being_found(
    shards: Shards, silent: Silent, away: int
) -> None:
    servers = Servers(_hosts(shards, silent.port, away, 0))

    async def knocks() -> int:
        before = silent.knocks
        connection = await servers.connect(asyncpg.Connection, timeout_s=PATIENCE_S)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        return silent.knocks - before

    started = time.monotonic()
    assert await knocks() == 1
    assert time.monotonic() - started < PATIENCE_S / 2

    assert servers.found == 2
    # The one that was found is tried first from then on, and others only where it takes its time.
    async with asyncio.timeout(PATIENCE_S):
        while await knocks():
            pass


async def test_a_refusal_of_the_primary_is_told_rather_than_that_others_are_away(shards: Shards, away: int) -> None:
    wrong = _hosts(shards, away, 0).replace("spaza:", "spaza:not-")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(wrong, timeout_s=PATIENCE_S)


async def test_none_is_found_in_time_where_all_hang_or_are_away(shards: Shards, silent: Silent, away: int) -> None:
    with pytest.raises(TimeoutError):
        await connect(_hosts(shards, silent.port, away), timeout_s=0.5)
    with pytest.raises(OSError, match=r"refused|Connect"):
        await connect(_hosts(shards, away, away), timeout_s=PATIENCE_S)


async def test_a_server_that_is_a_primary_is_no_standby(shards: Shards) -> None:
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await Servers(_hosts(shards, 0, 0), "standby").connect(asyncpg.Connection, timeout_s=PATIENCE_S)
