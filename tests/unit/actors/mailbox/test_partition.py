"""A partition under its owner, on the journal's double."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.mailbox.errors import JournalUnavailableError, OverloadedError
from actors.mailbox.flight import WriterLimits
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import Delivery, Message, Outcome, ack, reject
from actors.mailbox.ownership import OwnershipPolicy, PartitionPolicy, State
from actors.mailbox.partition import Partition
from actors.mailbox.window import Window
from config.topology import Queue

# Real time, but nothing waits for it: each step is waited for by what it does.
FAST = PartitionPolicy(
    OwnershipPolicy(tick_s=0.01, renew_s=0.01, passive_s=0.01, retry_first_s=0.001, retry_longest_s=0.005),
    WriterLimits(linger_s=0.001, waiting_messages=10),
)


class Owner:
    """A partition with its window, and a consumer that is called by hand."""

    def __init__(
        self,
        database: MemoryDatabase,
        name: str,
        journal: InMemoryJournal | None = None,
        policy: PartitionPolicy = FAST,
        **queue: Any,
    ) -> None:
        declared = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}], **queue})
        self.window = Window(declared)
        self.partition = Partition(
            declared, 0, InMemoryJournal(database) if journal is None else journal, self.window,
            has_dead_letters=True, owner=name, policy=policy, clock=time.monotonic, wake=lambda: None,
        )  # fmt: skip

    def take(self) -> list[Delivery]:
        self.window.advance(time.monotonic())
        return self.window.take(time.monotonic())

    def settle(self, batch: list[Delivery], outcome: Outcome) -> None:
        for delivery in batch:
            verdict = self.window.settle(delivery.tag, outcome, time.monotonic())
            if verdict is not None:
                self.partition.record(verdict)

    async def consume(self, total: int) -> list[str]:
        handled: list[str] = []

        def one_more() -> bool:
            batch = self.take()
            self.settle(batch, ack())
            handled.extend(one.message.id for one in batch)
            return len(handled) >= total

        await until(one_more)
        return handled


@asynccontextmanager
async def running(
    database: MemoryDatabase, name: str = "a", *, stops: bool = False, **queue: Any
) -> AsyncIterator[Owner]:
    owner = Owner(database, name, **queue)
    task = asyncio.ensure_future(owner.partition.run())
    try:
        yield owner
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not stops:
            await owner.partition.abandon()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60.0):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


def message(message_id: str, key: str = "") -> Message:
    return Message(message_id, key or message_id, "t", b"", {}, time.time())


def owning(owner: Owner) -> Callable[[], bool]:
    return lambda: owner.partition.state is State.OWNING


async def test_a_new_owner_delivers_what_the_old_one_left_and_says_so() -> None:
    database = MemoryDatabase()
    async with running(database) as first:
        await until(owning(first))
        await first.partition.append([message("m1"), message("m2"), message("m3")])
        first.settle(first.take()[:1], ack())
        await until(lambda: len(database.settled) == 1)

    async with running(database) as second:  # the same owner, come back
        await until(owning(second))
        await second.partition.append([message("m4")])
        await until(lambda: second.window.size == 3)
        batch = second.take()

    assert [(one.message.id, one.redelivered) for one in batch] == [("m2", True), ("m3", True), ("m4", False)]


async def test_an_append_whose_answer_was_lost_is_delivered_once() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await until(owning(owner))
        database.lost_answers = 1
        with pytest.raises(JournalUnavailableError):
            await owner.partition.append([message("m1")])
        await until(owning(owner))
        await owner.partition.append([message("m1"), message("m2")])

        handled = await owner.consume(2)

        assert sorted(handled) == ["m1", "m2"]
        assert owner.take() == []
        assert owner.partition.counters["duplicate"] == 1


async def test_a_settlement_whose_answer_was_lost_is_not_delivered_again() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await until(owning(owner))
        await owner.partition.append([message("m1")])
        database.lost_answers = 1
        owner.settle(owner.take(), ack())
        await until(lambda: owner.partition.epoch == 2)
        await until(owning(owner))

        assert owner.take() == []
        await until(lambda: owner.partition.waiting == 0)


async def test_an_owner_without_journal_fails_fast_keeps_what_it_knows_and_goes_on() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await until(owning(owner))
        await owner.partition.append([message("m1"), message("m2")])
        flying = owner.take()
        database.away = True
        await until(lambda: owner.partition.state is State.RECOVERING)
        with pytest.raises(JournalUnavailableError):
            await owner.partition.append([message("m3")])
        owner.settle(flying, ack())
        database.away = False
        await until(lambda: len(database.settled) == 2)

        await until(owning(owner))
        await owner.partition.append([message("m3")])
        assert await owner.consume(1) == ["m3"]


async def test_a_fenced_owner_goes_passive_and_forgets() -> None:
    database = MemoryDatabase()
    async with running(database, "a") as old:
        await until(owning(old))
        async with running(database, "b") as new:
            await until(lambda: new.partition.state is State.PASSIVE)
            await old.partition.append([message("m1")])
            flying = old.take()

            def taken() -> bool:
                database.lapsed = database.owner.startswith("a#")  # as if its renewals came too late
                return not database.lapsed

            await until(taken)
            await until(lambda: old.partition.state is State.PASSIVE)

            old.settle(flying, ack())

            with pytest.raises(JournalUnavailableError):
                await old.partition.append([message("m2")])
            assert await new.consume(1) == ["m1"]


async def test_too_many_appends_at_once_are_refused() -> None:
    async with running(MemoryDatabase()) as owner:
        await until(owning(owner))
        with pytest.raises(OverloadedError):
            await owner.partition.append([message(f"m{number}") for number in range(11)])


async def test_a_dead_letter_is_written_with_the_settlement_and_knows_its_death() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await until(owning(owner))
        await owner.partition.append([message("m1")])
        owner.settle(owner.take(), reject("bad"))
        await until(lambda: len(database.settled) == 1)

        (letter,) = database.dead_letters.values()
        assert letter.headers["x-first-death-queue"] == "q"
        assert (letter.headers["x-last-death-reason"], letter.headers["x-death-detail"]) == ("rejected", "bad")
        await until(lambda: owner.partition.dead_letters == 1)

    async with running(database) as second:
        await until(owning(second))
        await second.partition.count()
        assert second.partition.dead_letters == 1


async def test_more_than_the_window_holds_comes_in_order_and_once() -> None:
    database = MemoryDatabase()
    async with running(database, window=3, batch=2) as owner:
        await until(owning(owner))
        for number in range(30):
            await owner.partition.append([message(f"m{number}", "k")])
            assert owner.window.size <= 4

        assert await owner.consume(30) == [f"m{number}" for number in range(30)]
        await until(lambda: owner.partition.waiting == 0 and len(database.settled) == 30)


async def test_the_low_water_mark_never_passes_what_is_not_settled() -> None:
    database = MemoryDatabase()
    async with running(database, window=3) as owner:
        await until(owning(owner))
        for number in range(20):
            await owner.partition.append([message(f"m{number}")])
            if number % 3:
                owner.settle(owner.take()[1:], ack())
            await asyncio.sleep(0.003)
            lowest = min((row.seq for row in database.waiting()), default=number + 2)
            assert database.progress.low_water <= lowest


async def test_an_owner_that_stops_hands_over_at_once() -> None:
    database = MemoryDatabase()
    async with running(database, "a", stops=True) as first:
        await until(owning(first))
        await first.partition.append([message("m1"), message("m2")])
        first.settle(first.take()[:1], ack())
    await first.partition.stop(1.0)

    async with running(database, "b") as second:
        assert await second.consume(1) == ["m2"]
    assert database.progress.low_water == 2
