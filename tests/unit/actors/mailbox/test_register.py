"""Verdicts of which no record can be made, and faults amid a change of what is in memory."""

import asyncio
import time
from math import inf
from typing import Any

import pytest

from actors.mailbox.dispatcher import Dispatcher
from actors.mailbox.journal import Row
from actors.mailbox.lane import Verdict
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import ack, dead_letter, retry_after
from actors.mailbox.window import Window
from config.topology import Queue
from tests.unit.actors.mailbox.test_dispatcher import Scripted
from tests.unit.actors.mailbox.test_partition import Owner, message, owning, running, until


class Unspeakable:
    """A header that nobody foresaw."""

    def __str__(self) -> str:
        raise RuntimeError("no word of it")


async def three_in_flight(owner: Owner) -> list[Any]:
    await until(owning(owner))
    await owner.partition.append([message("m1"), message("bad"), message("m3")])
    await until(lambda: owner.window.size == 3)
    return owner.take()


async def test_a_message_of_which_no_dead_letter_can_be_made_becomes_a_corrupt_one_and_harms_no_other() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        batch = await three_in_flight(owner)
        headers = batch[1].message.headers
        assert isinstance(headers, dict)
        headers["x-exchange"] = Unspeakable()
        owner.settle(batch, dead_letter("no"))
        await until(lambda: len(database.settled) == 3)

        assert database.epoch == 1
        letters = {row.message.id: row.message.headers for row in database.letters()}
    assert [letters[one]["x-last-death-reason"] for one in ("m1", "bad", "m3")] == ["rejected", "corrupt", "rejected"]
    assert letters["bad"]["x-death-detail"] == "rejected, RuntimeError"
    assert owner.partition.counters["corrupt"] == 1


async def test_a_verdict_of_which_no_record_can_be_made_leaves_its_message_to_the_next_owner() -> None:
    database = MemoryDatabase()
    async with running(database, stops=True) as owner:
        batch = await three_in_flight(owner)
        entry = owner.window.shelf(0).entries[2]
        entry.message = entry.message._replace(published_at=inf)  # so that it has no day
        owner.settle(batch, ack())
        await until(lambda: len(database.settled) == 2)
        await owner.partition.append([message("m4")])
        await owner.consume(1)
        await until(lambda: len(database.settled) == 3)
        assert owner.partition.waiting == 1
    await owner.partition.stop(1.0)

    assert database.progress.low_water == 2
    async with running(database) as second:
        await until(owning(second))
        await until(lambda: second.window.size == 1)
        assert [one.message.id for one in second.take()] == ["bad"]


async def test_a_verdict_is_written_down_as_soon_as_a_record_of_it_can_be_made() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        batch = await three_in_flight(owner)
        entry = owner.window.shelf(0).entries[2]
        sound, entry.message = entry.message, entry.message._replace(published_at=inf)
        owner.settle(batch, ack())
        await until(lambda: len(database.settled) == 2)
        entry.message = sound
        await until(lambda: len(database.settled) == 3)
        await until(lambda: database.progress.low_water == 4)

        assert {one.cause for one in database.settled.values()} == {"acknowledged"}
        assert owner.partition.waiting == 0


async def test_a_retry_of_which_no_record_can_be_made_comes_again_all_the_same() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        batch = await three_in_flight(owner)
        soon: Any = "soon"
        for one in batch:
            verdict = owner.window.settle(one.tag, retry_after(0.0, "away"), time.monotonic())
            assert verdict is not None
            owner.partition.record(verdict._replace(not_before=soon) if one.seq == 2 else verdict)
        await until(lambda: len(database.retries) == 2)

        assert sorted(await owner.consume(3)) == ["bad", "m1", "m3"]


class Raising(InMemoryJournal):
    """Reads, once, something that nobody foresaw."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.raises = True

    async def load(self, from_seq: int, limit: int) -> list[Row]:
        rows = await super().load(from_seq, limit)
        if self.raises and len(rows) > 1:
            self.raises = False
            strange: Any = []  # no key of a dictionary
            rows[1] = rows[1]._replace(message=rows[1].message._replace(key=strange))
        return rows


async def test_a_fault_while_a_page_is_taken_in_loses_nothing_of_the_page() -> None:
    database = MemoryDatabase()
    async with running(database) as first:
        await until(owning(first))
        await first.partition.append([message(f"m{number}") for number in range(4)])
    journal = Raising(database)

    async with running(database, journal=journal) as second:
        await until(lambda: not journal.raises and second.partition.epoch == 3)
        assert sorted(await second.consume(4)) == ["m0", "m1", "m2", "m3"]


async def test_a_fault_while_a_commit_is_taken_in_has_the_partition_read_anew() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await until(owning(owner))
        arrive, faults = owner.window.offer, [RuntimeError("a fault")]

        def offer(*arguments: Any) -> bool:
            if faults:
                raise faults.pop()
            return arrive(*arguments)

        window: Any = owner.window
        window.offer = offer
        await owner.partition.append([message("m1"), message("m2")])

        assert sorted(await owner.consume(2)) == ["m1", "m2"]
        assert database.epoch == 2


async def test_what_raises_while_a_verdict_is_recorded_ends_the_dispatch() -> None:
    queue = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}], "linger_ms": 0})
    window = Window(queue)
    window.open(0, 0.0, time.monotonic())
    window.set_blocked(0, blocked=False, now=time.monotonic())
    window.offer(0, 1, message("m1"), time.monotonic())

    def record(verdict: Verdict) -> None:
        raise RuntimeError("a fault")

    with pytest.RaisesGroup(RuntimeError):
        async with asyncio.timeout(60.0):
            await Dispatcher(queue, window, Scripted([ack()]), record, time.monotonic).run()
