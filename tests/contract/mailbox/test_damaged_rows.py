"""Rows that storage or a hand has changed, on a real PostgreSQL: each harms itself alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.mailbox.journal import Batch, Settlement
from actors.mailbox.memory_journal import MemoryDatabase
from actors.mailbox.message import ack
from actors.mailbox.postgres_journal import PostgresJournal
from actors.mailbox.selection import Selection
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
        await until(lambda: one.window.size == 2)
        batch = one.take()
        one.settle(batch, ack())
        await until(lambda: one.partition.waiting == 0 and one.partition.dead_letters == 1)

    again = journals()
    assert [delivery.message.id for delivery in batch] == ["m1", "m3"]
    assert await again.load(0, 10) == []
    [found] = await again.peek("dead", Selection(), after_seq=0, limit=10, body_bytes=9)
    assert (found.message.id, found.message.headers["x-death-detail"]) == ("m2", "checksum")
    await owner.fetch("SELECT outcome FROM spaza.settlement WHERE queue = $1", queue_name)


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
    assert 0 <= found[1].message.published_at <= NOW + 86_400
    await journal.write(epoch, Batch(settlements=[Settlement(found[1].seq, found[1].day, "purged", "", 0)]))
    assert [row.message.id for row in await journal.load(0, 10)] == ["m1"]


async def test_a_row_whose_day_is_none_stops_no_reading(journals: Journals, owner: Connection, queue_name: str) -> None:
    journal = journals()
    epoch = (await taken(journal)).epoch
    await journal.write(epoch, Batch(appends(message("m1"), message("m2"))))
    await damage(owner, queue_name, "published_on = 'infinity'")

    rows = await journal.load(0, 10)
    assert [(row.message.id, row.intact) for row in rows] == [("m1", True), ("m2", False)]
    assert len(await journal.load_ids(["m1", "m2"])) == 2
    assert len(await journal.peek("waiting", Selection(), after_seq=0, limit=10, body_bytes=9)) == 2
