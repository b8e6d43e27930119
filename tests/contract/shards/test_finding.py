"""Several hosts in a DSN: whatever the others do, the one that takes writes is found, and in time."""

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from actors.shards.finding import Servers, connect
from cluster.ports import free_port
from tests.contract.shards.conftest import Shards


def _hosts(shards: Shards, *ports: int) -> str:
    url = urlsplit(shards.server.tcp_dsn)
    named = ",".join(f"127.0.0.1:{port or url.port}" for port in ports)
    return f"postgresql://{url.username}:{url.password}@{named}/postgres"


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """The port of a server that takes up connections and says nothing, as one that hangs."""
    gone = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    gone.set()
    server.close()


async def test_a_server_that_is_away_or_hangs_does_not_keep_others_from_being_found(
    shards: Shards, silent: int
) -> None:
    servers = Servers(_hosts(shards, silent, free_port(), 0))
    took_s = []
    for _ in range(2):
        started = time.monotonic()
        connection = await servers.connect(asyncpg.Connection, timeout_s=5.0)
        took_s.append(time.monotonic() - started)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()

    assert servers.found == 2
    assert took_s[0] < 4
    # The one that was found is tried first from then on.
    assert took_s[1] < took_s[0]


async def test_a_refusal_of_the_primary_is_told_rather_than_that_others_are_away(shards: Shards) -> None:
    wrong = _hosts(shards, free_port(), 0).replace("spaza:", "spaza:not-")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(wrong, timeout_s=5.0)


async def test_none_is_found_in_time_where_all_hang_or_are_away(shards: Shards, silent: int) -> None:
    with pytest.raises(TimeoutError):
        await connect(_hosts(shards, silent, free_port()), timeout_s=0.5)
    with pytest.raises(OSError, match=r"refused|Connect"):
        await connect(_hosts(shards, free_port(), free_port()), timeout_s=5.0)


async def test_a_server_that_is_a_primary_is_no_standby(shards: Shards) -> None:
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await Servers(_hosts(shards, 0, 0), "standby").connect(asyncpg.Connection, timeout_s=5.0)
