"""The mailbox's own connections: what the server does with one that stands still or is gone."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from actors.mailbox.connections import Connections
from actors.shards.dsn import shard_dsn
from cluster.postgres import PostgresServer

# Which of them it is depends on when the client hears of it.
_GONE = (
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
    ConnectionError,
)


@pytest.fixture
async def connections(server: PostgresServer, owner: object) -> AsyncIterator[Connections]:
    made = Connections(shard_dsn(server.tcp_dsn, 0, "spaza_system", "secret"), 1)
    yield made
    await made.aclose()


async def _setting(connection: Any, name: str) -> str:
    return str(await connection.fetchval(f"SHOW {name}"))


async def _stand_still(connections: Connections) -> None:
    async with connections.lend(60.0) as connection, connection.transaction():
        await asyncio.sleep(0.2)
        await connection.execute("SELECT 1")


async def test_a_session_that_stands_still_or_is_gone_does_not_hold_its_locks(connections: Connections) -> None:
    async with connections.lend(60.0) as connection:
        assert await _setting(connection, "idle_in_transaction_session_timeout") == "10s"
        keepalives = [await _setting(connection, f"tcp_keepalives_{part}") for part in ("idle", "interval", "count")]

    assert keepalives == ["10", "3", "3"]


async def test_a_session_that_the_server_ended_is_replaced(connections: Connections) -> None:
    async with connections.lend(60.0) as connection:
        first = connection.get_server_pid()
        await connection.execute("SET idle_in_transaction_session_timeout = '50ms'")
    with pytest.raises(_GONE):
        await _stand_still(connections)

    async with connections.lend(60.0) as connection:
        assert connection.get_server_pid() != first


async def test_a_connection_is_of_the_era_of_those_beside_it_and_of_another_where_there_are_none(
    server: PostgresServer, owner: object
) -> None:
    connections = Connections(shard_dsn(server.tcp_dsn, 0, "spaza_system", "secret"), 2)
    async with connections.lend(60.0) as one, connections.lend(60.0) as two:
        first = one.era
        assert two.era == first
    two.terminate()
    async with connections.lend(60.0) as one, connections.lend(60.0) as two:
        assert (one.era, two.era) == (first, first)
    one.terminate()
    two.terminate()
    async with connections.lend(60.0) as anew:
        assert anew.era != first
    await connections.aclose()


async def test_an_extra_connection_waits_for_none_of_the_others(connections: Connections) -> None:
    async with connections.lend(60.0) as busy, connections.extra(60.0) as extra:
        assert extra.get_server_pid() != busy.get_server_pid()

    assert extra.is_closed()
