"""What is held for a count goes with it, whenever that is given up."""

import asyncio

from actors.mailbox.capacity import Capacity
from actors.mailbox.census import Census
from actors.mailbox.errors import JournalUnavailableError
from actors.mailbox.journal import Count, Counted, Counting
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from config.topology import Queue

QUEUE = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}]})


class Held:
    """A count that never ends, and a connection for it."""

    snapshot = "1"

    def __init__(self) -> None:
        self.is_open = True

    async def result(self) -> Count:
        return await asyncio.Future[Count]()

    def abandon(self) -> None:
        self.is_open = False


class Slow(InMemoryJournal):
    """Cannot count at once."""

    def __init__(self) -> None:
        super().__init__(MemoryDatabase())
        self.held = Held()

    async def count(self, counted: Counted) -> Count:
        raise JournalUnavailableError("memory", "TimeoutError")

    async def begin_count(self, counted: Counted) -> Counting:
        return self.held


async def test_a_count_that_is_given_up_before_it_has_begun_holds_nothing() -> None:
    journal = Slow()
    census = Census("q", 0, journal, Capacity(QUEUE, [0]), 1.0)
    await census.take(Counted(0, "0", []))
    assert journal.held.is_open

    census.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert not journal.held.is_open
