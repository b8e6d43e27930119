"""The journal's old days are dropped beside everything else, on a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from actors.mailbox.journal import Batch
from actors.mailbox.postgres_journal import PostgresJournal
from cluster.postgres import PostgresServer
from tests.contract.mailbox.test_every_journal import appends, message, settled, taken
from tests.contract.mailbox.test_journal import locked

Connection = Any
Journals = Callable[[], PostgresJournal]
_MAINTAIN = "spaza.maintain_mailbox(integer, integer, date)"


@pytest.fixture
async def other(server: PostgresServer, owner: Connection) -> AsyncIterator[Connection]:
    """One more connection of the tables' owner."""
    connection = await asyncpg.connect(server.database_dsn("shard_00"))
    yield connection
    await connection.close()


@pytest.fixture
async def old_day(owner: Connection) -> AsyncIterator[str]:
    """The name of a day that is over and has its partitions, and time for who waits for a lock to be found out."""
    # Those days are there that upkeep would make, whatever day it was when the database was set up.
    await owner.execute("SELECT spaza.maintain_mailbox(3, 1000, (now() AT TIME ZONE 'UTC')::date)")
    await owner.execute("SELECT spaza.maintain_mailbox(0, 1000, (now() AT TIME ZONE 'UTC')::date - 10)")
    await owner.execute(f"ALTER FUNCTION {_MAINTAIN} SET lock_timeout = '60s'")
    yield str(await owner.fetchval("SELECT to_char((now() AT TIME ZONE 'UTC')::date - 10, 'YYYYMMDD')"))
    await owner.execute(f"ALTER FUNCTION {_MAINTAIN} SET lock_timeout = '500ms'")
    # A day of which something was kept in the default partition has no partition of its own any more.
    await owner.execute("DELETE FROM spaza.journal_default")
    await owner.execute("DELETE FROM spaza.settlement_default")


async def test_messages_are_written_while_an_old_day_is_looked_through(
    journals: Journals, owner: Connection, other: Connection, old_day: str
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    async with other.transaction():
        # As if looking through it took long.
        await other.execute(f"LOCK TABLE spaza.settlement_{old_day} IN ACCESS EXCLUSIVE MODE")
        upkeep = asyncio.create_task(journal.maintain(3, 7))
        await locked(owner)

        one = message("m1")
        await journal.write(epoch, Batch(appends(one)))
        await journal.write(epoch, Batch(settlements=[settled(1, one)]))

        assert not upkeep.done()

    assert await upkeep == (0, 1)


async def test_what_is_settled_after_an_old_day_was_looked_through_is_not_kept(
    journals: Journals, owner: Connection, other: Connection, old_day: str, queue_name: str
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    old = time.time() - 10 * 86_400
    late, waiting = message("late", published_at=old), message("waiting", published_at=old)
    await journal.write(epoch, Batch(appends(late, waiting)))
    async with other.transaction():
        await other.execute("SELECT FROM spaza.journal LIMIT 0")  # keeps the table from being locked for the drop
        upkeep = asyncio.create_task(journal.maintain(3, 7))
        await locked(owner)
        await owner.execute(
            "INSERT INTO spaza.settlement (published_on, queue, partition, seq, outcome, reason, deliveries)"
            " VALUES ((now() AT TIME ZONE 'UTC')::date - 10, $1, 0, 1, 'acknowledged', '', 1)",
            queue_name,
        )

    assert await upkeep == (0, 1)
    kept = await owner.fetch("SELECT message_id FROM spaza.journal WHERE queue = $1", queue_name)
    assert [row[0] for row in kept] == ["waiting"]


async def test_a_day_with_very_many_unsettled_messages_is_kept_and_those_after_it_are_dropped(
    journals: Journals, owner: Connection, old_day: str, queue_name: str
) -> None:
    await owner.execute("SELECT spaza.maintain_mailbox(0, 1000, (now() AT TIME ZONE 'UTC')::date - 9)")
    await owner.execute(
        "INSERT INTO spaza.journal (published_on, queue, partition, seq, message_id, tenant_id, key, priority,"
        " published_at, headers, body, checksum, transactional)"
        " SELECT (now() AT TIME ZONE 'UTC')::date - 10, $1, 0, n, 'm' || n, '', 'k', 0, now(), '{}', '', 0, false"
        " FROM generate_series(1, 10001) AS n",
        queue_name,
    )
    journal = journals()

    assert await journal.maintain(3, 7) == (0, 1)
    assert await owner.fetchval(f"SELECT count(*) FROM spaza.journal_{old_day}") == 10_001

    await owner.execute(
        "INSERT INTO spaza.settlement (published_on, queue, partition, seq, outcome, reason, deliveries)"
        " SELECT published_on, queue, partition, seq, 'purged', '', 1 FROM spaza.journal WHERE queue = $1",
        queue_name,
    )
    assert await journal.maintain(3, 7) == (0, 1)
    assert await owner.fetchval("SELECT count(*) FROM spaza.journal WHERE queue = $1", queue_name) == 0
