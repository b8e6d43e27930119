"""A partition into which units of work write as well: told of their rows, or by its sweep."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from actors.mailbox import intake
from actors.mailbox.errors import JournalUnavailableError, QueueFullError
from actors.mailbox.journal import Batch, Look, Progress, Retry, Row, Tick, Written
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import PublishedRow, ack
from actors.mailbox.ownership import State
from tests.unit.actors.mailbox.test_partition import FAST, Owner, message, owning, running, until

BY_SHARD: dict[str, Any] = {"partition_by": "shard", "partitions": 32}


def published(database: MemoryDatabase, *ids: str, key: str = "") -> list[PublishedRow]:
    """A unit of work that has committed; its rows as their owner would be told of them."""
    unit = database.unit()
    rows = [PublishedRow("q", 0, unit.publish(one), one) for one in (message(name, key) for name in ids)]
    unit.commit()
    return rows


async def read(owner: Owner) -> None:
    """Wait until it owns the partition and has read what is there."""
    await until(owning(owner))
    await until(lambda: not owner.partition.statistics()["paging"])


async def test_what_nobody_told_of_is_found() -> None:
    database = MemoryDatabase()
    async with running(database, **BY_SHARD) as owner:
        await read(owner)
        published(database, "m1", "m2")

        assert await owner.consume(2) == ["m1", "m2"]


async def test_what_commits_after_later_ones_were_settled_is_delivered_and_all_once() -> None:
    database = MemoryDatabase()
    async with running(database, **BY_SHARD) as owner:
        await read(owner)
        late = database.unit()
        late.publish(message("late"))
        owner.partition.told(published(database, "m1"))
        await owner.partition.append([message("m2")])
        assert await owner.consume(2) == ["m1", "m2"]
        await until(lambda: len(database.settled) == 2)

        late.commit()

        assert await owner.consume(1) == ["late"]
        await until(lambda: len(database.settled) == 3)
        owner.partition.told(published(database, "m3"))
        assert await owner.consume(1) == ["m3"]


async def test_what_commits_between_two_owners_below_the_low_water_mark_is_delivered_by_the_second() -> None:
    database = MemoryDatabase()
    async with running(database, "a", stops=True, **BY_SHARD) as first:
        await read(first)
        late = database.unit()
        seq = late.publish(message("late"))
        published(database, "m1")
        assert await first.consume(1) == ["m1"]
        await until(lambda: len(database.settled) == 1)
    await first.partition.stop(1.0)
    assert database.progress.low_water > seq
    late.commit()

    async with running(database, "b", **BY_SHARD) as second:
        assert await second.consume(1) == ["late"]


class SlowToLoad(InMemoryJournal):
    """Takes a while to load what a sweep has listed, and notes it."""

    slow = False

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.loaded: list[int] = []

    async def load_seqs(self, seqs: Sequence[int]) -> list[Row]:
        self.loaded += seqs
        if self.slow:
            await asyncio.sleep(0.8)
        return await super().load_seqs(seqs)


async def test_a_sweep_that_would_cost_the_lease_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "PAGE", 1)
    journal = SlowToLoad(database := MemoryDatabase())
    policy = FAST._replace(ownership=FAST.ownership._replace(lease_s=4.0))
    async with running(database, journal=journal, policy=policy, **BY_SHARD) as owner:
        await read(owner)
        journal.slow = True
        published(database, "m1", "m2", "m3", "m4", "m5", "m6")

        assert await owner.consume(6) == ["m1", "m2", "m3", "m4", "m5", "m6"]
        assert owner.partition.epoch == 1


async def test_what_is_told_of_again_after_it_was_settled_under_an_earlier_owner_is_not_delivered() -> None:
    database = MemoryDatabase()
    async with running(database, **BY_SHARD) as first:
        await read(first)
        rows = published(database, "m1")
        assert await first.consume(1) == ["m1"]
        await until(lambda: len(database.settled) == 1)

    async with running(database, **BY_SHARD) as second:  # the same owner, come back
        await read(second)
        second.partition.told(rows)
        second.partition.told(published(database, "m2"))

        assert await second.consume(1) == ["m2"]
        assert second.take() == []


async def test_what_is_told_of_while_the_journal_is_away_is_not_overtaken() -> None:
    database = MemoryDatabase()
    async with running(database, **BY_SHARD) as owner:
        await read(owner)
        database.away = True
        await until(lambda: owner.partition.state is State.RECOVERING)
        owner.partition.told(published(database, "m1", key="k"))
        assert owner.take() == []
        database.away = False
        await until(owning(owner))
        owner.partition.told(published(database, "m2", key="k"))

        assert await owner.consume(2) == ["m1", "m2"]


async def test_what_was_settled_is_not_read_again_while_a_transaction_runs_for_long() -> None:
    journal = SlowToLoad(database := MemoryDatabase())
    async with running(database, journal=journal, **BY_SHARD) as owner:
        await read(owner)
        database.unit()
        published(database, "m1")
        assert await owner.consume(1) == ["m1"]
        await until(lambda: len(database.settled) == 1)
        journal.loaded.clear()

        published(database, "m2")

        assert await owner.consume(1) == ["m2"]
        assert journal.loaded == [2]


class FailsAtTheEnd(InMemoryJournal):
    """Commits an append named ``doubt`` when it is let, and loses the answer."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.let = asyncio.Event()

    async def write(self, epoch: int, batch: Batch) -> Written:
        written = await super().write(epoch, batch)
        if any(one.message.id == "doubt" for one in batch.appends):
            await self.let.wait()
            raise JournalUnavailableError("memory", "the answer was lost")
        return written


async def test_an_owner_that_stops_with_an_append_in_doubt_leaves_it_to_the_next() -> None:
    journal = FailsAtTheEnd(database := MemoryDatabase())
    policy = FAST._replace(writer=FAST.writer._replace(beside=0))
    async with running(database, "a", journal=journal, policy=policy, stops=True, **BY_SHARD) as first:
        await read(first)
        doubt = asyncio.ensure_future(first.partition.append([message("doubt")]))
        await until(lambda: bool(database.appended))
        first.partition.told(published(database, "m1"))
        assert await first.consume(1) == ["m1"]
        await until(lambda: len(database.settled) == 1)
    asyncio.get_running_loop().call_later(0.01, journal.let.set)
    await first.partition.stop(1.0)
    with pytest.raises(JournalUnavailableError):
        await doubt

    database.lapsed = True
    async with running(database, "b", **BY_SHARD) as second:
        assert await second.consume(1) == ["doubt"]


def unit(database: MemoryDatabase, name: str, key: str) -> PublishedRow:
    """A unit of work that has committed and of which nobody has been told."""
    return published(database, name, key=key)[0]


async def test_what_is_told_of_does_not_overtake_an_earlier_one_whose_word_was_lost() -> None:
    database = MemoryDatabase()
    async with running(database, **BY_SHARD) as owner:
        await read(owner)
        unit(database, "m1", "k")
        owner.partition.told([unit(database, "m2", "k")])

        assert await owner.consume(2) == ["m1", "m2"]


async def test_what_is_told_of_does_not_overtake_one_that_committed_late() -> None:
    database = MemoryDatabase()
    async with running(database, **BY_SHARD) as owner:
        await read(owner)
        late = database.unit()
        late.publish(message("late", "k"))
        owner.partition.told(published(database, "m1", key="other"))
        assert await owner.consume(1) == ["m1"]

        late.commit()
        owner.partition.told(published(database, "m2", key="k"))

        assert await owner.consume(2) == ["late", "m2"]


async def test_what_came_while_a_page_was_read_does_not_overtake_an_earlier_one() -> None:
    journal = Paged(database := MemoryDatabase())
    async with running(database, journal=journal, **BY_SHARD) as owner:
        await until(lambda: journal.reading)
        unit(database, "m1", "k")
        owner.partition.told([unit(database, "m2", "k")])
        journal.let.set()

        assert await owner.consume(2) == ["m1", "m2"]


async def test_what_an_owner_appends_does_not_overtake_what_units_published_before() -> None:
    database = MemoryDatabase()
    async with running(database, **BY_SHARD) as owner:
        await read(owner)
        unit(database, "m1", "k")
        await owner.partition.append([message("m2", "k")])

        assert await owner.consume(2) == ["m1", "m2"]


async def test_what_follows_what_was_seen_is_delivered_without_a_look() -> None:
    journal = Counted(database := MemoryDatabase())
    policy = FAST._replace(ownership=FAST.ownership._replace(tick_s=0.05, renew_s=0.01))
    async with running(database, journal=journal, policy=policy, **BY_SHARD) as owner:
        await read(owner)
        ticks = journal.ticks
        await until(lambda: journal.ticks >= ticks + 3)
        ticks = journal.ticks
        for number in range(20):
            owner.partition.told(published(database, f"m{number}", key="k"))
            batch = owner.take()
            assert [one.message.id for one in batch] == [f"m{number}"]
            owner.settle(batch, ack())

        assert journal.ticks - ticks <= 1, "no more than the regular one"


async def test_what_is_held_back_survives_a_journal_that_is_away() -> None:
    database = MemoryDatabase()
    async with running(database, **BY_SHARD) as owner:
        await read(owner)
        database.away = True
        await until(lambda: owner.partition.state is State.RECOVERING)
        unit(database, "m1", "k")
        owner.partition.told([unit(database, "m2", "k")])
        assert owner.partition.waiting == 1
        database.away = False

        assert await owner.consume(2) == ["m1", "m2"]


async def test_what_bears_a_transaction_id_that_a_crashed_server_had_given_before_is_found() -> None:
    journal = Counted(database := MemoryDatabase())
    async with running(database, journal=journal, max_length=3, tenant_share=1.0, **BY_SHARD) as owner:
        await read(owner)
        for _ in range(9):
            database.unit().commit()
        ticks = journal.ticks
        await until(lambda: journal.ticks >= ticks + 2)

        database.crash(forgotten=9)
        published(database, "m1", "m2")

        await until(lambda: owner.window.size == 2)
        await until(owning(owner))
        # And counted.
        with pytest.raises(QueueFullError):
            await owner.partition.append([message("m3"), message("m4")])
        assert await owner.consume(2) == ["m1", "m2"]


async def test_what_was_in_doubt_does_not_overtake_what_units_published_before() -> None:
    database = MemoryDatabase()
    policy = FAST._replace(ownership=FAST.ownership._replace(tick_s=2.0))  # the regular look comes later
    async with running(database, policy=policy, **BY_SHARD) as owner:
        await read(owner)
        unit(database, "m1", "k")
        database.lost_answers = 1
        with pytest.raises(JournalUnavailableError):
            await owner.partition.append([message("doubt", "k")])

        assert await owner.consume(2) == ["m1", "doubt"]


class Paged(InMemoryJournal):
    """Reads its first page, and answers when it is let."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.reading, self.let = False, asyncio.Event()

    async def load(self, from_seq: int, limit: int) -> list[Row]:
        rows = await super().load(from_seq, limit)
        self.reading = True
        await self.let.wait()
        return rows


class Counted(InMemoryJournal):
    """Counts the looks into it."""

    ticks = 0

    async def tick(self, epoch: int, progress: Progress, look: Look) -> Tick:
        self.ticks += 1
        return await super().tick(epoch, progress, look)


async def test_what_was_tried_on_the_shard_from_which_it_came_is_a_redelivery_and_goes_with_the_others() -> None:
    database = MemoryDatabase()
    async with running(database, **BY_SHARD) as owner:
        await read(owner)
        unit = database.unit()
        moved = unit.publish(message("moved"))
        unit.publish(message("fresh"))
        database.retries[moved] = Retry(moved, 0, 0, 0.0, 0.0, "moved")
        unit.commit()
        await until(lambda: owner.window.size == 2)

        batch = owner.take()

    told = [(one.message.id, one.redelivered, one.attempt) for one in batch]
    assert told == [("moved", True, 1), ("fresh", False, 1)]
