"""Counters on their way to the store."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from actors.rate_limiter.clock import Instant
from actors.rate_limiter.decision import Limits
from actors.rate_limiter.keys import Pair
from actors.rate_limiter.ledger import Check, Earlier, Ledger, StoredValue
from actors.rate_limiter.store import WriteBehind
from actors.rate_limiter.window import Used

NOW = Instant(1_800_000_000.0, 1_800_000_000.0)
LIMITS = Limits(5, 50)
_NOTHING = Used()


class MemoryStore:
    """A store that can be away, and can be looked into while it writes."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.away = False
        self.batches = 0
        self.busy: asyncio.Event | None = None

    async def read(self, keys: Sequence[str]) -> list[int] | None:
        return None if self.away else [self.values.get(key, 0) for key in keys]

    async def write(self, values: Sequence[StoredValue]) -> list[int] | None:
        self.batches += 1
        if self.busy is not None:
            await self.busy.wait()
        if self.away:
            return None
        aside = [self.values.get(one.aside_key, 0) for one in values]
        self.values.update({one.key: one.value + other for one, other in zip(values, aside, strict=True)})
        return aside

    async def aclose(self) -> None:
        return


def counted(ledger: Ledger, tenant: str = "a", used: Used | None = _NOTHING) -> None:
    one = Check(tenant, "x", LIMITS)
    if ledger.unknown([one]):
        ledger.begin(Earlier.of(one.pair, NOW), used, LIMITS)
    ledger.decide(one, NOW)


Writes = tuple[Ledger, MemoryStore, WriteBehind]


@pytest.fixture
async def writes() -> AsyncIterator[Writes]:
    ledger, store = Ledger(10), MemoryStore()
    writing = WriteBehind(ledger, store, lambda: NOW)
    yield ledger, store, writing
    store.away = False
    if store.busy is not None:
        store.busy.set()
    await writing.stop(5.0)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_changes_during_a_write_goes_with_the_next_one(writes: Writes) -> None:
    ledger, store, writing = writes
    store.busy = asyncio.Event()
    counted(ledger)
    writing.changed()
    await settle()

    counted(ledger)
    counted(ledger, "b")
    writing.changed()
    store.busy.set()
    await settle()

    assert store.batches == 2
    assert sorted(store.values.values()) == [1, 1, 2, 2]


async def test_while_the_store_is_away_nothing_is_lost(writes: Writes) -> None:
    ledger, store, writing = writes
    counted(ledger)
    store.away = True
    assert not await writing.flush()

    store.away = False
    assert await writing.flush()

    assert set(store.values.values()) == {1}
    assert writing.counters == {"failed_writes": 1, "writes": 1}


async def test_what_stands_there_is_read_before_it_is_replaced(writes: Writes) -> None:
    ledger, store, writing = writes
    one = Check("a", "x", LIMITS)
    store.values = dict.fromkeys(Earlier.of(one.pair, NOW).keys[:2], 3)
    counted(ledger, used=None)
    store.away = True
    assert not await writing.flush()

    store.away = False
    assert await writing.flush()

    assert set(store.values.values()) == {4}
    assert ledger.decide(one, NOW).minute_used == 5


async def test_what_began_unread_during_a_long_write_does_not_replace_what_stands_there() -> None:
    ledger, store = Ledger(5_000), MemoryStore()
    one = Check("late", "x", Limits(500, 500))
    store.values = dict.fromkeys(Earlier.of(one.pair, NOW).keys[:2], 90)
    store.busy = asyncio.Event()
    writing = WriteBehind(ledger, store, lambda: NOW)
    for number in range(1_500):
        counted(ledger, str(number))
    writing.changed()
    await settle()

    # While the first thousand are written.
    counted(ledger, "late", used=None)
    writing.changed()
    store.busy.set()
    await settle()

    assert [store.values[key] for key in Earlier.of(one.pair, NOW).keys[:2]] == [91, 91]
    assert await writing.stop(5.0)


async def test_what_others_counted_meanwhile_is_heard_with_the_write_and_stays_there(writes: Writes) -> None:
    ledger, store, writing = writes
    counted(ledger)
    minute, hour, minute_aside, hour_aside = Earlier.of(Pair("a", "x"), NOW).keys
    store.values = {minute: 3, hour: 3, minute_aside: 3, hour_aside: 3}

    for _ in range(2):
        assert await writing.flush()
        assert (store.values[minute], store.values[hour]) == (4, 4)
        assert ledger.decide(Check("a", "x", LIMITS, 0), NOW).minute_used == 4
        ledger.still_unwritten([Pair("a", "x")])


async def test_a_write_that_is_broken_off_is_made_again(writes: Writes) -> None:
    ledger, store, writing = writes
    store.busy = asyncio.Event()
    counted(ledger)
    flushing = asyncio.create_task(writing.flush())
    await settle()

    flushing.cancel()
    await settle()

    assert ledger.unwritten == 1


async def test_the_end_waits_for_what_is_to_be_written(writes: Writes) -> None:
    ledger, store, writing = writes
    counted(ledger)

    assert await writing.stop(5.0)

    assert set(store.values.values()) == {1}


async def test_the_end_does_not_wait_for_a_store_that_is_away(writes: Writes) -> None:
    ledger, store, writing = writes
    store.away = True
    counted(ledger)
    writing.changed()
    await settle()

    # Far longer than one write that fails, and than the longest pause.
    async with asyncio.timeout(60.0):
        assert not await writing.stop(60.0)

    assert store.batches <= 2
