"""Rows that storage or a hand has changed, on a real PostgreSQL: each harms itself alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.mailbox.journal import Batch, Settlement
from actors.mailbox.memory_journal import MemoryDatabase
from actors.mailbox.message import Publication
from actors.mailbox.postgres_journal import PostgresJournal
from actors.mailbox.selection import Selection
from actors.mailbox.transactional import TransactionalPublisher
from cluster.postgres import PostgresServer
from tests.contract.mailbox.conftest import by_shard
from tests.contract.mailbox.test_every_journal import NOW, appends, message, taken
from tests.unit.actors.mailbox.test_partition import Owner, owning, until

Connection = Any
Journals = Callable[[], PostgresJournal]
TIMES = ["'infinity'", "'-infinity'", "published_at + interval '1 day'", "published_at - interval '300 years'"]


async def damage(owner: Connection, queue: str, change: str, message_id: str = "m2") -> None:
    changed = await owner.execute(
        f"UPDATE spaza.journal SET {change} WHERE queue = $1 AND message_id = $2", queue, message_id
    )
    assert changed == "UPDATE 1"


@asynccontextmanager
async def owned(journal: PostgresJournal) -> AsyncIterator[Owner]:
    one = Owner(MemoryDatabase(), "a", journal)  # type: ignore[arg-type]
    task = asyncio.ensure_future(one.partition.run())
    try:
        await until(owning(one))
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await one.partition.stop(5.0)


@pytest.mark.parametrize("at", TIMES)
async def test_a_row_whose_time_is_damaged_becomes_a_dead_letter_and_those_beside_it_are_handled(
    journals: Journals, owner: Connection, queue_name: str, at: str
) -> None:
    journal = journals()
    epoch = (await taken(journal, "a")).epoch
    await journal.write(epoch, Batch(appends(message("m1"), message("m2"), message("m3"))))
    await damage(owner, queue_name, f"published_at = {at}")

    async with owned(journals()) as one:
        handled = await one.consume(2)
        await until(lambda: one.partition.waiting == 0 and one.partition.dead_letters == 1)

    again = journals()
    assert handled == ["m1", "m3"]
    assert await again.load(0, 10) == []
    [found] = await again.peek("dead", Selection(), after_seq=0, limit=10, body_bytes=9)
    assert (found.message.id, found.message.headers["x-death-detail"]) == ("m2", "checksum")


@pytest.mark.parametrize("at", TIMES)
async def test_a_row_whose_time_is_damaged_is_shown_among_others_and_can_be_settled(
    journals: Journals, owner: Connection, queue_name: str, at: str
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(message("m1"), message("m2"))))
    await damage(owner, queue_name, f"published_at = {at}")

    found = await journal.peek("waiting", Selection(), after_seq=0, limit=10, body_bytes=9)
    assert [one.message.id for one in found] == ["m1", "m2"]
    assert 0 <= found[1].message.published_at <= NOW + 86_401  # PostgreSQL rounds to microseconds, up as well as down
    await journal.write(epoch, Batch(settlements=[Settlement(found[1].seq, found[1].day, "purged", "", 0)]))
    assert [row.message.id for row in await journal.load(0, 10)] == ["m1"]


CHANGES = [
    "tenant_id = 'other'", "key = 'other'", "priority = 9", "published_at = published_at + interval '1 microsecond'",
    "ttl_ms = 1", "ttl_ms = null", "headers = '{\"a\":1}'", "body = 'other'", "message_id = 'other'",
    "published_on = published_on + 1", "checksum = checksum # 1", "seal = seal # 1",
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
async def test_no_column_of_a_message_can_be_changed_unseen(
    journals: Journals, owner: Connection, queue_name: str, change: str
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    sent = message("m2")._replace(ttl_ms=60_000, priority=3, published_at=NOW + 1 / 3)
    await journal.write(epoch, Batch(appends(message("m1"), sent, message("m3"))))
    assert [row.message.id for row in await journal.load(0, 10) if row.intact] == ["m1", "m2", "m3"]

    await damage(owner, queue_name, change)

    assert [row.message.id for row in await journal.load(0, 10) if row.intact] == ["m1", "m3"]


async def test_a_row_that_was_put_into_another_queue_is_none_of_its_own(
    journals: Journals, owner: Connection, queue_name: str
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(message("m1"), message("m2")), dead_letters=[message("m3")]))
    await owner.execute(
        "UPDATE spaza.journal SET queue = $1, seq = 9 WHERE queue = $2", queue_name, f"dlq.{queue_name}"
    )

    assert [(row.message.id, row.intact) for row in await journal.load(0, 10)] == [
        ("m1", True), ("m2", True), ("m3", False),
    ]  # fmt: skip


async def test_what_was_written_by_all_ways_is_intact(
    journals: Journals, owner: Connection, server: PostgresServer, queue_name: str
) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    late = message("m1")._replace(published_at=31_999_999_999.123457, ttl_ms=7, tenant="Zoë", priority=9)
    await journal.write(epoch, Batch(appends(late, message("m2")._replace(published_at=1))))
    await journal.write(epoch, Batch(appends(message("m3"), first=3), dead_letters=[late]))
    topology = by_shard(queue_name)
    publisher = TransactionalPublisher(topology)
    headers = {"x-redriven": 1, "x-redriven-at": int(NOW)}
    async with owner.transaction():
        units = [message("m4"), message("m5")._replace(headers=headers)]
        told = await publisher.publish(owner, 0, "", Publication("x", "", units))
    [dead] = await journal.load_letters(
        [(await journal.peek("dead", Selection(), after_seq=0, limit=1, body_bytes=0))[0].seq]
    )

    rows = await journal.load(0, 10)
    assert [(row.message.id, row.intact) for row in rows] == [(f"m{number}", True) for number in range(1, 6)]
    assert dead.intact
    assert [row.message.id for row in told] == ["m4", "m5"]
    assert not rows[4].message.headers.keys() & headers.keys()


async def test_rows_of_before_the_seal_are_read(journals: Journals, owner: Connection, queue_name: str) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(message("m1"), message("m2"), message("m3"))))
    await owner.execute("UPDATE spaza.journal SET seal = null WHERE queue = $1", queue_name)
    await damage(owner, queue_name, "priority = -1")
    await damage(owner, queue_name, "published_at = 'infinity'", "m3")

    assert [row.intact for row in await journal.load(0, 10)] == [True, False, False]


async def test_a_row_whose_day_is_none_stops_no_reading(journals: Journals, owner: Connection, queue_name: str) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(message("m1"), message("m2"))))
    await damage(owner, queue_name, "published_on = 'infinity'")

    rows = await journal.load(0, 10)
    assert [(row.message.id, row.intact) for row in rows] == [("m1", True), ("m2", False)]
    assert len(await journal.load_ids(["m1", "m2"])) == 2
    assert len(await journal.peek("waiting", Selection(), after_seq=0, limit=10, body_bytes=9)) == 2
