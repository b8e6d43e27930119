"""Expiry of what is not in memory, on the journal's double."""

import math
from collections import Counter
from collections.abc import Callable

import pytest

from actors.mailbox.errors import JournalUnavailableError
from actors.mailbox.flight import WriterLimits
from actors.mailbox.intake import Intake
from actors.mailbox.journal import READ_BYTES, Append, Batch, Place, Retry, Row, Walk
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import Message
from actors.mailbox.paged_expiry import PagedExpiry
from actors.mailbox.window import Window
from actors.mailbox.writer import Writer
from config.topology import Queue


class Paged:
    """A partition in whose journal all is still to be read."""

    def __init__(
        self, ttl_ms: int | None = None, journal: Callable[[MemoryDatabase], InMemoryJournal] = InMemoryJournal
    ) -> None:
        self.now = 0.0
        self.counters: Counter[str] = Counter()
        queue = Queue.model_validate(
            {"name": "q", "bindings": [{"exchange": "x"}], "ttl_ms": ttl_ms, "partition_by": "shard"}
        )
        self.database = MemoryDatabase()
        self.journal = journal(self.database)
        self.window = Window(queue)
        self.writer = Writer("q", self.journal, None, WriterLimits(), self.clock)  # type: ignore[arg-type]
        self.intake = Intake(
            queue,
            0,
            self.journal,
            self.window,
            self.writer,
            has_dead_letters=True,
            clock=self.clock,
            counters=self.counters,
        )
        self.window.open(0, 0.0, 0.0)
        self.window.set_blocked(0, blocked=False, now=0.0)
        self.intake.begin(1, 100)
        self.expiry = PagedExpiry(
            queue,
            0,
            journal=self.journal,
            window=self.window,
            intake=self.intake,
            writer=self.writer,
            clock=self.clock,
            counters=self.counters,
        )

    def clock(self) -> float:
        return self.now

    async def append(self, seq: int, clock_s: float, ttl_ms: int | None = None, body: bytes = b"") -> None:
        message = Message(str(seq), str(seq), "t", body, {}, 0.0, ttl_ms=ttl_ms)
        await self.journal.write(self.database.epoch, Batch([Append(message, seq, clock_s)]))

    async def expired_at(self, now: float) -> int:
        self.now = now
        return await self.expiry.look(1.0)


async def test_by_the_queues_time_the_oldest_expire_and_no_other() -> None:
    paged = Paged(ttl_ms=10_000)
    for seq, clock_s in ((1, 0.0), (2, 1.0), (3, 8.0)):
        await paged.append(seq, clock_s)

    assert [await paged.expired_at(now) for now in (5.0, 10.5, 10.6, 11.0, 17.9, 18.0, 30.0)] == [0, 1, 0, 1, 0, 1, 0]
    assert paged.intake.buried == {"expired": 3}
    assert all(paged.writer.is_settling(seq) for seq in (1, 2, 3))


@pytest.mark.parametrize("queue_ttl_ms", [None, 60_000])
async def test_a_message_with_a_time_of_its_own_expires_wherever_it_stands(queue_ttl_ms: int | None) -> None:
    paged = Paged(ttl_ms=queue_ttl_ms)
    for seq, ttl_ms in ((1, None), (2, 3_000), (3, None), (4, 1_000)):
        await paged.append(seq, 0.0, ttl_ms)

    assert [await paged.expired_at(now) for now in (0.5, 1.0, 2.9, 3.0, 50.0)] == [0, 1, 0, 1, 0]


async def test_what_was_deferred_gets_that_time_on_top() -> None:
    paged = Paged(ttl_ms=10_000)
    await paged.append(1, 0.0)
    await paged.journal.write(0, Batch(retries=[Retry(1, 0, 0, 0.0, 5.0, "")]))

    assert [await paged.expired_at(now) for now in (10.0, 14.9, 15.0)] == [0, 0, 1]


async def test_nothing_expires_while_the_clock_stands_or_all_is_in_memory() -> None:
    paged = Paged(ttl_ms=10_000)
    await paged.append(1, 0.0)

    paged.window.set_consumer_up(up=False, now=5.0)
    assert await paged.expired_at(100.0) == 0
    paged.window.set_consumer_up(up=True, now=100.0)
    await paged.intake.fetch(1.0)
    assert await paged.expired_at(104.0) == 0
    assert await paged.expired_at(200.0) == 0
    assert [one.cause for one in paged.window.advance(200.0)] == ["expired"], "its window sees to it"


@pytest.mark.parametrize("ttl_ms", [None, 10_000])
async def test_heavy_messages_expire_by_parts_as_the_journal_takes_them(ttl_ms: int | None) -> None:
    paged = Paged(ttl_ms=10_000)
    body = bytes(3_000_000)
    for seq in range(1, 21):
        await paged.append(seq, 0.0, ttl_ms, body)

    found = [await paged.expired_at(10.0) for _ in range(4)]

    held = sum(found) * len(body)
    assert found[0] > 0
    assert held <= 2 * WriterLimits().batch_bytes + 2 * READ_BYTES, "no more than the writer and two readings hold"
    assert found[-1] == 0, "nothing is written, so nothing more is read"
    paged.writer.forget()
    assert await paged.expired_at(10.0) > 0


async def test_many_expire_with_one_look() -> None:
    paged = Paged(ttl_ms=10_000)
    for seq in range(1, 2_502):
        await paged.append(seq, 0.0)

    assert await paged.expired_at(10.0) == 2_501


class SlowJournal(InMemoryJournal):
    """Fails where more than so many rows are asked for; remembers what was."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.most = 1_000
        self.walks: list[tuple[Place, int]] = []

    async def load_expired(self, walk: Walk) -> tuple[list[Row], Place | None]:
        self.walks.append((walk.after, walk.limit))
        if walk.limit > self.most:
            raise JournalUnavailableError("q", "it was cancelled")
        return await super().load_expired(walk)


async def slowly_holding(rows: int) -> tuple[Paged, SlowJournal]:
    """So many rows that live a second, in a journal that can be slow."""
    paged = Paged(journal=SlowJournal)
    assert isinstance(paged.journal, SlowJournal)
    for seq in range(1, rows + 1):
        await paged.append(seq, 0.0, 1_000)
    return paged, paged.journal


async def test_after_a_late_look_smaller_parts_are_read_a_while_later_until_that_succeeds() -> None:
    paged, slow = await slowly_holding(3)
    slow.most = 250

    found = [await paged.expired_at(now) for now in (2.0, 4.0, 8.0, 12.0, 14.0)]

    assert found == [0, 0, 0, 0, 3]
    assert [limit for _, limit in slow.walks] == [1_000, 500, 250]
    assert paged.counters["late_looks"] == 2


async def test_a_walk_goes_on_where_it_ended_and_looks_back_no_longer_than_a_row_may_be_late() -> None:
    paged, slow = await slowly_holding(2_501)

    assert [await paged.expired_at(now) for now in (1.0, 30.0, 31.0)] == [2_501, 0, 0]
    once: list[Place] = [(1.0, 1_000), (1.0, 2_000)]
    assert [after for after, _ in slow.walks] == [(-math.inf, -1), *once, (-9.0, -1), *once, (20.0, -1)]
