"""How many dead letters a partition says there are."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from actors.mailbox.journal import Batch, Written
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import reject
from actors.mailbox.selection import Selection
from tests.unit.actors.mailbox.test_partition import Owner, message, owning, running, until


class Overlapped(InMemoryJournal):
    """Has something happen before it counts dead letters, and may keep the answer to a write back."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.before: list[Callable[[], None]] = []
        self.seen = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def dead_letters(self) -> int:
        if not self.before:
            return await super().dead_letters()
        self.before.pop()()
        await self.seen.wait()
        return await super().dead_letters()

    async def write(self, epoch: int, batch: Batch) -> Written:
        written = await super().write(epoch, batch)
        await self.answers.wait()
        return written


@asynccontextmanager
async def overlapped(database: MemoryDatabase) -> AsyncIterator[tuple[Owner, Overlapped]]:
    journal = Overlapped(database)
    async with running(database, journal=journal) as owner:
        await until(owning(owner))
        yield owner, journal


async def count_a_death_before_it_is_told_of(owner: Owner, journal: Overlapped, database: MemoryDatabase) -> None:
    await owner.partition.append([message("m1")])
    journal.answers.clear()
    owner.settle(owner.take(), reject("never"))
    await until(lambda: len(database.letters()) == 1)
    await owner.partition.count()
    journal.answers.set()


async def test_the_dead_letters_are_counted_again_after_a_lost_answer() -> None:
    async with running(database := MemoryDatabase()) as owner:
        await until(owning(owner))
        await owner.partition.count()
        await owner.partition.append([message("m1"), message("m2")])
        database.lost_answers = 1
        owner.settle(owner.take(), reject("never"))
        await until(lambda: owner.partition.epoch == 2 and owning(owner)())

        assert (len(database.letters()), owner.partition.count_wanted) == (2, True)
        await owner.partition.count()

        assert (owner.partition.dead_letters, owner.partition.count_wanted) == (2, False)


async def test_a_death_that_was_counted_and_told_of_is_one_after_the_next_count() -> None:
    async with overlapped(database := MemoryDatabase()) as (owner, journal):
        await owner.partition.append([message("m1")])
        journal.before = [lambda: owner.settle(owner.take(), reject("never"))]
        counting = asyncio.ensure_future(owner.partition.count())
        await until(lambda: owner.partition.dead_letters == 1)
        journal.seen.set()
        await counting

        await owner.partition.count()

        assert (owner.partition.dead_letters, len(database.letters())) == (1, 1)


async def test_a_death_that_is_not_told_of_yet_when_it_is_counted_is_one_after_the_next_count() -> None:
    async with overlapped(database := MemoryDatabase()) as (owner, journal):
        await count_a_death_before_it_is_told_of(owner, journal, database)
        await until(lambda: owner.partition.dead_letters > 1)

        await owner.partition.count()

        assert (owner.partition.dead_letters, len(database.letters())) == (1, 1)


async def test_a_count_that_a_death_overlaps_spoils_no_figure_that_was_right() -> None:
    async with overlapped(database := MemoryDatabase()) as (owner, journal):
        await owner.partition.count()
        await count_a_death_before_it_is_told_of(owner, journal, database)
        await until(lambda: owner.partition.dead_letters == 1)

        purged = asyncio.ensure_future(owner.partition.interventions.purge_dead(Selection(), after_seq=0, limit=10))
        journal.answers.clear()
        await until(lambda: not database.letters())
        await owner.partition.count()
        journal.answers.set()
        await purged

        assert owner.partition.dead_letters == 0


async def test_what_others_wrote_beside_the_owner_is_in_the_next_count() -> None:
    async with running(database := MemoryDatabase()) as owner:
        await until(owning(owner))
        await owner.partition.count()
        database.bury(message("m1"))

        await owner.partition.count()

        assert owner.partition.dead_letters == 1
