"""A partition on a journal that is slow, out of order, or at fault."""

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from actors.mailbox.errors import FencedError, JournalUnavailableError
from actors.mailbox.journal import (
    Append,
    Batch,
    Count,
    Counted,
    Counting,
    Look,
    Place,
    Progress,
    Retry,
    Row,
    Tick,
    Walk,
    Written,
)
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import Message, reject
from actors.mailbox.ownership import State
from tests.unit.actors.mailbox.test_partition import FAST, message, owning, running, until


class GatedJournal(InMemoryJournal):
    """Pages are read, and the message ``held`` is written, only when it is let."""

    def __init__(self, database: MemoryDatabase, held: str) -> None:
        super().__init__(database)
        self._held = held
        self.reads, self.writes = asyncio.Event(), asyncio.Event()

    async def load(self, from_seq: int, limit: int) -> list[Row]:
        await self.reads.wait()
        return await super().load(from_seq, limit)

    async def write(self, epoch: int, batch: Batch) -> Written:
        if self._held in [append.message.id for append in batch.appends]:
            await self.writes.wait()
        return await super().write(epoch, batch)


async def test_a_later_message_of_a_key_that_a_page_finds_first_does_not_overtake() -> None:
    database = MemoryDatabase()
    journal = GatedJournal(database, "m1")
    policy = FAST._replace(writer=FAST.writer._replace(beside=1))
    async with running(database, journal=journal, policy=policy) as owner:
        await until(owning(owner))  # and the first page waits to be read
        first = asyncio.ensure_future(owner.partition.append([message("m1", "k")]))
        await asyncio.sleep(0)
        await owner.partition.append([message("m2", "k")])
        journal.reads.set()
        await until(lambda: not owner.partition.statistics()["paging"])

        journal.writes.set()
        await first

        assert await owner.consume(2) == ["m1", "m2"]


class DoubtfulJournal(GatedJournal):
    """Commits the message ``doubt`` the first time, but its answer is lost, which shows once ``failures`` are let."""

    doubts = 1

    def __init__(self, database: MemoryDatabase, held: str) -> None:
        super().__init__(database, held)
        self.reads.set()
        self.failures = asyncio.Event()

    async def write(self, epoch: int, batch: Batch) -> Written:
        written = await super().write(epoch, batch)
        if self.doubts and "doubt" in [append.message.id for append in batch.appends]:
            self.doubts -= 1
            await self.failures.wait()
            raise JournalUnavailableError("memory", "the answer was lost")
        return written


async def test_an_append_in_doubt_is_not_left_to_a_write_of_an_earlier_epoch() -> None:
    database = MemoryDatabase()
    journal = DoubtfulJournal(database, "slow")
    journal.failures.set()
    policy = FAST._replace(writer=FAST.writer._replace(beside=1))
    async with running(database, journal=journal, policy=policy, window=2, batch=1) as owner:
        await until(owning(owner))
        await until(lambda: not owner.partition.statistics()["paging"])
        for number in range(6):
            await owner.partition.append([message(f"m{number}")])
        assert owner.partition.statistics()["paging"]
        slow = asyncio.ensure_future(owner.partition.append([message("slow")]))  # waits for a connection
        await asyncio.sleep(0)
        with pytest.raises(JournalUnavailableError):
            await owner.partition.append([message("doubt")])
        await until(lambda: owner.partition.epoch == 2 and owning(owner)())
        await owner.partition.append([message("doubt")])  # confirmed, for it is in the journal

        handled = await owner.consume(7)

        assert handled == [*(f"m{number}" for number in range(6)), "doubt"]
        journal.writes.set()
        assert isinstance((await asyncio.gather(slow, return_exceptions=True))[0], FencedError)
        assert (owning(owner)(), owner.partition.epoch) == (True, 2)


async def test_a_message_that_landed_after_one_in_doubt_of_its_key_does_not_overtake_it() -> None:
    database = MemoryDatabase()
    journal = DoubtfulJournal(database, "none")
    policy = FAST._replace(writer=FAST.writer._replace(beside=1))
    async with running(database, journal=journal, policy=policy) as owner:
        await until(owning(owner))
        await until(lambda: not owner.partition.statistics()["paging"])
        doubt = asyncio.ensure_future(owner.partition.append([message("doubt", "k")]))
        await asyncio.sleep(0)
        await owner.partition.append([message("later", "k")])
        journal.failures.set()
        with pytest.raises(JournalUnavailableError):
            await doubt

        assert await owner.consume(2) == ["doubt", "later"]
        assert owner.partition.counters["published"] == 1


class FaultyJournal(InMemoryJournal):
    """Raises, the first time that ids are looked up, what no journal should raise."""

    faults = 1

    async def load_ids(self, ids: Sequence[str]) -> list[Row]:
        if self.faults:
            self.faults -= 1
            raise AttributeError("a fault in the program")
        return await super().load_ids(ids)


async def test_an_append_in_doubt_is_looked_up_again_after_any_fault() -> None:
    database = MemoryDatabase()
    journal = FaultyJournal(database)
    async with running(database, journal=journal) as owner:
        await until(owning(owner))
        await until(lambda: not owner.partition.statistics()["paging"])
        database.lost_answers = 1

        with pytest.raises(JournalUnavailableError):
            await owner.partition.append([message("m1")])

        assert await owner.consume(1) == ["m1"]
        assert journal.faults == 0


class UncountableJournal(InMemoryJournal):
    """Counts nothing in time, until ``countable``."""

    countable = False

    async def count(self, counted: Counted) -> Count:
        if not self.countable:
            raise JournalUnavailableError("memory", "TimeoutError")
        return await super().count(counted)

    async def begin_count(self, counted: Counted) -> Counting:
        raise JournalUnavailableError("memory", "TimeoutError")


async def test_a_partition_that_cannot_be_counted_in_time_is_owned_all_the_same() -> None:
    database = MemoryDatabase()
    async with running(database, stops=True) as first:
        await until(owning(first))
        await first.partition.append([message(f"m{number}") for number in range(5)])
    await first.partition.stop(1.0)

    journal = UncountableJournal(database)
    policy = FAST._replace(ownership=FAST.ownership._replace(count_again_s=0.02))
    async with running(database, journal=journal, policy=policy, window=2, batch=1) as second:
        await until(owning(second))
        await second.partition.append([message("m5")])
        assert (second.partition.waiting >= 1, second.partition.statistics()["counted"]) == (True, False)

        journal.countable = True
        await until(lambda: bool(second.partition.statistics()["counted"]))

        assert second.partition.waiting == 6
        assert len(await second.consume(6)) == 6
        await until(lambda: second.partition.waiting == 0)


class SlowJournal(InMemoryJournal):
    """Answers no tick while ``silent``, and no page of more than ``readable`` messages in time."""

    silent = False
    readable = 1_000
    ticks = 0

    async def tick(self, epoch: int, progress: Progress, look: Look) -> Tick:
        while self.silent:  # noqa: ASYNC110 - a test's switch
            await asyncio.sleep(0.001)
        self.ticks += look.lease_s is not None
        return await super().tick(epoch, progress, look)

    async def load(self, from_seq: int, limit: int) -> list[Row]:
        if limit > self.readable:
            await asyncio.sleep(60.0)
        return await super().load(from_seq, limit)


SHORT = FAST._replace(ownership=FAST.ownership._replace(lease_s=1.0, page_s=0.01))


async def test_nothing_is_delivered_once_the_lease_was_not_renewed_in_time() -> None:
    journal = SlowJournal(database := MemoryDatabase())
    async with running(database, journal=journal, policy=SHORT) as owner:
        await until(owning(owner))
        await until(lambda: not owner.partition.statistics()["paging"])
        await owner.partition.append([message("m1")])
        journal.silent = True
        await asyncio.sleep(1.2)
        assert owner.take() == []

        journal.silent = False

        assert await owner.consume(1) == ["m1"]


async def test_a_page_that_takes_too_long_is_read_in_parts() -> None:
    database = MemoryDatabase()
    async with running(database, stops=True) as first:
        await until(owning(first))
        for number in range(20):
            await first.partition.append([message(f"m{number}", "k")])
    await first.partition.stop(1.0)

    journal = SlowJournal(database)
    journal.readable = 100
    async with running(database, journal=journal, policy=SHORT) as second:
        assert await second.consume(20) == [f"m{number}" for number in range(20)]


async def holding(messages: Iterable[Message]) -> tuple[MemoryDatabase, int]:
    """A database in which an owner before has left messages, in their order; and its epoch."""
    database = MemoryDatabase()
    before = InMemoryJournal(database)
    lease = await before.take_over("before", 0.0, -1)
    assert lease is not None
    await before.write(lease.epoch, Batch([Append(one, seq, 0.0) for seq, one in enumerate(messages, 1)]))
    return database, lease.epoch


class LatePages(InMemoryJournal):
    """Reads no page while ``late``: it does not answer, or says that it cannot."""

    late = True

    def __init__(self, database: MemoryDatabase, error: JournalUnavailableError | None) -> None:
        super().__init__(database)
        self._error = error

    async def load(self, from_seq: int, limit: int) -> list[Row]:
        if self.late and self._error is not None:
            raise self._error
        return await (asyncio.Future() if self.late else super().load(from_seq, limit))


@pytest.mark.parametrize("error", [None, JournalUnavailableError("q", "it was cancelled")])
async def test_an_owner_whose_pages_come_late_goes_on_taking_and_delivers_them_in_order_once_they_come(
    error: JournalUnavailableError | None,
) -> None:
    # Given an owner that has to page, and a journal that takes what is written and reads no page
    database, epoch = await holding(message(f"m{seq}", "k") for seq in range(1, 21))
    journal = LatePages(database, error)
    policy = FAST._replace(ownership=FAST.ownership._replace(page_s=0.05))
    async with running(database, journal=journal, policy=policy) as owner:
        # When a few pages have come late
        await until(lambda: owner.partition.counters["late_pages"] >= 3)

        # Then it takes messages all the same, and is suspended by none of them
        await owner.partition.append([message("m21", "k")])
        assert (owner.partition.state, owner.partition.epoch) == (State.OWNING, epoch + 1)
        assert owner.take() == []

        journal.late = False
        assert await owner.consume(21) == [f"m{seq}" for seq in range(1, 22)]
        assert (owner.partition.state, owner.partition.epoch) == (State.OWNING, epoch + 1)


class EndlessPages(SlowJournal):
    """There is always another page."""

    async def load(self, from_seq: int, limit: int) -> list[Row]:
        await asyncio.sleep(0)
        return [Row(from_seq + step, message("m0"), False, 0.0, 0, 0, 0.0, 0.0, 0) for step in range(limit)]


async def test_paging_does_not_keep_the_lease_from_being_renewed() -> None:
    journal = EndlessPages(database := MemoryDatabase())
    async with running(database, journal=journal) as owner:
        await until(owning(owner))
        before = journal.ticks

        await until(lambda: journal.ticks >= before + 2)


class HoldsRetries(InMemoryJournal):
    """Writes retries only when it is let."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.held, self.let = asyncio.Event(), asyncio.Event()

    async def write(self, epoch: int, batch: Batch) -> Written:
        if batch.retries:
            self.held.set()
            await self.let.wait()
        return await super().write(epoch, batch)


async def test_a_retry_of_an_earlier_tenure_does_not_write_over_what_another_owner_noted() -> None:
    journal = HoldsRetries(database := MemoryDatabase())
    async with running(database, journal=journal, max_retries=3) as owner:
        await until(owning(owner))
        await owner.partition.append([message("m1")])
        owner.settle(owner.take(), reject("not now"))
        await journal.held.wait()
        database.owner, database.epoch = "b", database.epoch + 1
        await until(lambda: owner.partition.state is State.PASSIVE)
        noted = Retry(1, 2, 0, 0.0, 0.0, "by the other")
        database.retries[1] = noted

        database.lapsed = True
        await until(owning(owner))
        journal.let.set()
        await owner.partition.append([message("m2")])

        assert database.retries == {1: noted}


async def test_the_age_clock_is_kept_with_the_first_tick_not_only_when_the_lease_needs_it() -> None:
    # Or an owner that does not live long would give all of its time back to messages that should have expired.
    policy = FAST._replace(ownership=FAST.ownership._replace(renew_s=60.0))
    async with running(database := MemoryDatabase(), policy=policy) as owner:
        await until(owning(owner))

        await until(lambda: database.progress.clock_s > 0)


async def test_where_nothing_can_be_written_the_partition_is_not_owned_until_something_can() -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await until(owning(owner))
        database.full = True

        with pytest.raises(JournalUnavailableError):
            await owner.partition.append([message("m1")])
        # All that is small succeeds on a full disk, taking over among it.
        epoch = database.epoch
        await until(lambda: database.epoch > epoch + 2)
        assert owner.partition.statistics()["state"] == State.RECOVERING
        assert owner.partition.statistics()["why"] == "full"
        with pytest.raises(JournalUnavailableError):
            await owner.partition.append([message("m1")])

        database.full = False
        await until(owning(owner))
        assert owner.partition.statistics()["why"] == ""
        await owner.partition.append([message("m1")])
        assert await owner.consume(1) == ["m1"]


class SlowOnce(InMemoryJournal):
    """Is too slow for one write, and counts rehearsals."""

    slow, rehearsals = 1, 0

    async def write(self, epoch: int, batch: Batch) -> Written:
        if self.slow:
            self.slow -= 1
            raise JournalUnavailableError("memory", "TimeoutError") from TimeoutError()
        return await super().write(epoch, batch)

    async def rehearse(self, epoch: int) -> None:
        self.rehearsals += 1


async def test_a_journal_that_is_only_slow_is_given_no_more_to_write() -> None:
    database = MemoryDatabase()
    journal = SlowOnce(database)
    async with running(database, journal=journal) as owner:
        await until(owning(owner))
        with pytest.raises(JournalUnavailableError):
            await owner.partition.append([message("m1")])

        await until(owning(owner))
        await owner.partition.append([message("m1")])

        assert journal.rehearsals == 0


class LateJournal(InMemoryJournal):
    """What has expired is never found in time, or not at all."""

    def __init__(self, database: MemoryDatabase, error: JournalUnavailableError | None) -> None:
        super().__init__(database)
        self._error = error

    async def load_expired(self, walk: Walk) -> tuple[list[Row], Place | None]:
        if self._error is not None:
            raise self._error
        return await asyncio.Future()


@pytest.mark.parametrize("error", [None, JournalUnavailableError("q", "it was cancelled")])
async def test_an_owner_that_looks_late_for_what_has_expired_goes_on_taking_and_delivering(
    error: JournalUnavailableError | None,
) -> None:
    database, epoch = await holding(message(f"m{seq}") for seq in range(1, 2_501))
    policy = FAST._replace(ownership=FAST.ownership._replace(page_s=0.5))

    async with running(database, journal=LateJournal(database, error), policy=policy, window=10) as owner:
        await until(lambda: owner.partition.counters["late_looks"] == 1)

        assert (owner.partition.state, owner.partition.epoch) == (State.OWNING, epoch + 1)
        await owner.partition.append([message("last")])
        assert (await owner.consume(20))[:20] == [f"m{seq}" for seq in range(1, 21)]
        assert (owner.partition.state, owner.partition.epoch) == (State.OWNING, epoch + 1)
