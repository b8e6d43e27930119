"""The journal's schema is applied by several at once, and beside those who use it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count

import asyncpg
import pytest

from cluster.postgres import PostgresServer
from tests.contract.mailbox.conftest import SCHEMA

AT_ONCE = 4
_numbers = count(1)


@pytest.fixture
async def dsn(server: PostgresServer) -> AsyncIterator[str]:
    """An empty database of the test's own."""
    name = f"set_up_{next(_numbers)}"
    keeper = await asyncpg.connect(server.database_dsn("postgres"))
    await keeper.execute(f"CREATE DATABASE {name}")
    yield server.database_dsn(name)
    await keeper.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await keeper.close()


async def test_several_who_set_a_journal_up_at_once_find_it_there(dsn: str) -> None:
    async with AsyncExitStack() as stack:
        connections = [await asyncpg.connect(dsn) for _ in range(AT_ONCE)]
        for connection in connections:
            stack.push_async_callback(connection.close)

        for _ in range(5):
            async with asyncio.timeout(120.0):
                await asyncio.gather(*(connection.execute(SCHEMA) for connection in connections))

        assert await connections[0].fetchval("SELECT count(*) FROM spaza.journal") == 0


async def test_setting_up_again_waits_for_nobody_who_writes(dsn: str) -> None:
    async with AsyncExitStack() as stack:
        writer, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
        stack.push_async_callback(writer.close)
        stack.push_async_callback(other.close)
        await other.execute(SCHEMA)
        async with writer.transaction():
            # As a flush does, which may wait for the journal while it holds the owner's row.
            await writer.execute("LOCK TABLE spaza.mailbox_owner IN ROW SHARE MODE")
            await writer.execute("LOCK TABLE spaza.journal, spaza.settlement, spaza.redelivery IN ROW EXCLUSIVE MODE")

            async with asyncio.timeout(120.0):
                await other.execute(SCHEMA)


async def test_a_journal_of_before_its_rows_had_seals_is_given_them_and_keeps_what_it_holds(dsn: str) -> None:
    async with AsyncExitStack() as stack:
        connection = await asyncpg.connect(dsn)
        stack.push_async_callback(connection.close)
        await connection.execute(SCHEMA)
        await connection.execute("ALTER TABLE spaza.journal DROP COLUMN seal")
        await connection.execute(
            "INSERT INTO spaza.journal (published_on, queue, partition, message_id, tenant_id, key, priority,"
            " published_at, headers, body, checksum, transactional) VALUES (now()::date, 'q', 0, 'm1', 't', 'k', 0,"
            " now(), '{}', '', 0, false)"
        )

        await connection.execute(SCHEMA)

        assert [*map(tuple, await connection.fetch("SELECT message_id, seal FROM spaza.journal"))] == [("m1", None)]
