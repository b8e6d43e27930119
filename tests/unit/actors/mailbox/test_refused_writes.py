"""What the journal cannot hold harms nobody but itself."""

import asyncio
import time

import pytest

from actors.mailbox.errors import JournalRefusedError, JournalUnavailableError
from actors.mailbox.flight import WriterLimits
from actors.mailbox.journal import Batch, Settlement, Written
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import ack, dead_letter, retry_after
from actors.mailbox.ownership import PartitionPolicy
from tests.unit.actors.mailbox.test_partition import FAST, Owner, message, owning, running, until

UNENCODABLE = {"broken": "\ud83d"}


class Refusing(InMemoryJournal):
    """Cannot hold one message, and nobody saw that before."""

    async def write(self, epoch: int, batch: Batch) -> Written:
        if any(append.message.id == "bad" for append in batch.appends):
            raise JournalRefusedError("memory", "bad")
        return await super().write(epoch, batch)


ROOMY = PartitionPolicy(FAST.ownership, WriterLimits(linger_s=0.001))


async def published(owner: Owner, *ids: str) -> None:
    await until(owning(owner))
    await owner.partition.append([message(one) for one in ids])


async def test_a_reason_that_no_json_can_hold_is_mended_and_nobody_waits_for_it() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await published(owner, "bad", "good")
        bad, good = owner.take()
        owner.settle([bad], dead_letter('cannot read "\ud83d"'))
        owner.settle([good], ack())
        await until(lambda: len(database.settled) == 2)

        assert database.epoch == 1
        assert [row.message.headers["x-death-detail"] for row in database.letters()] == ['cannot read "?"']


async def test_a_message_whose_letter_cannot_be_written_is_settled_without_it_beside_all_others() -> None:
    database = MemoryDatabase()
    async with running(database, policy=ROOMY) as owner:
        await published(owner, *(f"m{number}" for number in range(7)))
        batch = owner.take()
        # Something stands in its headers that was not there when it was published.
        culprit = batch[3].message
        assert isinstance(culprit.headers, dict)
        culprit.headers.update(UNENCODABLE)
        owner.settle(batch[:5], dead_letter("no"))
        owner.settle(batch[5:6], retry_after(60.0, "away"))
        others = [owner.partition.append([message(f"x{number}")]) for number in range(3)]
        await asyncio.gather(*others)
        await until(lambda: len(database.settled) == 5)

        assert database.epoch == 1
        assert [row.message.id for row in database.letters()] == ["m0", "m1", "m2", "m4"]
        assert {settlement.cause for settlement in database.settled.values()} == {"rejected"}
        assert list(database.retries) == [6]
        assert await owner.consume(3) == ["x0", "x1", "x2"]


async def test_a_retry_that_cannot_be_written_stops_nothing() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await published(owner, "m1", "m2")
        first, second = owner.take()
        verdict = owner.window.settle(first.tag, retry_after(60.0, "away"), time.monotonic())
        assert verdict is not None
        owner.partition.record(verdict._replace(not_before=1e14))
        owner.settle([second], ack())
        await until(lambda: 2 in database.settled)

        await owner.partition.append([message("m3")])
        assert database.epoch == 1
        assert database.retries == {}


async def test_a_publisher_whose_message_cannot_be_written_is_told_and_its_neighbours_are_not() -> None:
    database = MemoryDatabase()
    async with running(database, journal=Refusing(database), policy=ROOMY) as owner:
        await published(owner, "m0")
        broken = message("bad")

        errors = await owner.partition.append([message("m1"), broken, message("m2")], [1, 1, 1])
        with pytest.raises(JournalRefusedError):
            await owner.partition.append([broken])

        assert errors is not None
        assert [type(error) for error in errors] == [type(None), JournalRefusedError, type(None)]
        assert database.epoch == 1
        assert await owner.consume(3) == ["m0", "m1", "m2"]
        await until(lambda: owner.partition.waiting == 0)


async def test_order_holds_where_a_flush_is_written_in_parts() -> None:
    database = MemoryDatabase()
    async with running(database, journal=Refusing(database), policy=ROOMY) as owner:
        await published(owner, "m0")
        broken = message("bad")
        given = [message(f"m{number}", "k") for number in range(1, 9)]
        calls = [owner.partition.append([one]) for one in [*given[:5], broken, *given[5:]]]
        results = await asyncio.gather(*calls, return_exceptions=True)

        assert [type(one) for one in results if one is not None] == [JournalRefusedError]
        assert await owner.consume(9) == [f"m{number}" for number in range(9)]


class FailingOnceApart(InMemoryJournal):
    """Is away for a moment after the first half of a refused flush."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.refusals = 0
        self._failed = False

    async def write(self, epoch: int, batch: Batch) -> Written:
        if self.refusals and batch.settlements and not self._failed:
            self._failed = True
            raise JournalUnavailableError("memory", "away")
        try:
            return await super().write(epoch, batch)
        except JournalRefusedError:
            self.refusals += 1
            raise


async def test_a_journal_that_goes_away_between_the_halves_loses_nothing() -> None:
    database = MemoryDatabase()
    journal = FailingOnceApart(database)
    async with running(database, journal=journal, policy=ROOMY) as owner:
        await published(owner, *(f"m{number}" for number in range(6)))
        batch = owner.take()
        assert isinstance(batch[5].message.headers, dict)
        batch[5].message.headers.update(UNENCODABLE)
        owner.settle(batch, dead_letter("no"))
        await until(lambda: len(database.settled) == 6)
        await until(owning(owner))

        assert database.epoch == 2
        assert sorted(row.message.id for row in database.letters()) == [f"m{number}" for number in range(5)]
        assert owner.take() == []
        await until(lambda: owner.partition.waiting == 0)


class Slow(InMemoryJournal):
    """Writes ``most_bytes`` in the time that it has."""

    def __init__(self, database: MemoryDatabase, most_bytes: int) -> None:
        super().__init__(database)
        self.most_bytes = most_bytes
        self.sizes: list[int] = []

    async def write(self, epoch: int, batch: Batch) -> Written:
        size_bytes = sum(len(one.body) for one in batch.dead_letters)
        self.sizes.append(size_bytes)
        if size_bytes > self.most_bytes:
            raise JournalUnavailableError("memory", "TimeoutError")
        return await super().write(epoch, batch)


async def large_deaths(journal: Slow, database: MemoryDatabase, limits: WriterLimits) -> None:
    async with running(database, journal=journal, policy=PartitionPolicy(FAST.ownership, limits)) as owner:
        await until(owning(owner))
        await owner.partition.append([message(f"m{number}")._replace(body=b"x" * 1_000) for number in range(64)])
        owner.settle(owner.take(), dead_letter("no"))
        await until(lambda: len(database.settled) == 64)


async def test_a_flush_of_dead_letters_is_bounded_by_their_bytes() -> None:
    database = MemoryDatabase()
    journal = Slow(database, 1 << 40)

    await large_deaths(journal, database, WriterLimits(linger_s=0.001, batch_bytes=8_000))

    assert max(journal.sizes) == 8_000
    assert database.epoch == 1


async def test_a_flush_that_is_too_much_for_the_journal_is_written_in_smaller_ones() -> None:
    database = MemoryDatabase()
    journal = Slow(database, 4_000)

    await large_deaths(journal, database, WriterLimits(linger_s=0.001, batch_bytes=64_000))

    assert len(database.dead_letters) == 64
    assert max(journal.sizes) > 4_000
    assert sum(size > 4_000 for size in journal.sizes) <= 5  # and not each time anew


async def test_a_message_that_is_settled_twice_in_a_flush_is_counted_once() -> None:
    database = MemoryDatabase()
    async with running(database, policy=ROOMY) as owner:
        await published(owner, "m1", "m2")
        writer = owner.partition._writer
        for _ in range(2):
            writer.settle(Settlement(1, 0, "rejected", "", 1), "t", None)
        await until(lambda: 1 in database.settled)

        await owner.partition.append([message("m3")])
        assert writer.settling == []
