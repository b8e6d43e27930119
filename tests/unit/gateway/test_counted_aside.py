"""Counting where the owner writes: what is asked at once goes there together."""

import asyncio
from collections.abc import Sequence

import pytest

from actors.rate_limiter.decision import Limits
from actors.rate_limiter.ledger import Check
from cache.counters import Limited
from gateway.counted_aside import CountedAside

NOW = 1_800_000_010.0
CHECK = Check("01a206e71a8876c38ef13d4c866fa497", "products", Limits(5, 100))


class Numbers:
    """What is left, taken one trip at a time."""

    def __init__(self, left: int = 5) -> None:
        self.left, self.trips, self.away, self.broken = left, list[int](), False, False

    async def take(
        self, numbers: Sequence[Limited], asked: int, *, partly: bool = False, times: int = 1
    ) -> list[int] | None:
        self.trips.append(times)
        await asyncio.sleep(0)
        if self.broken:
            raise ValueError("broken")
        if self.away:
            return None
        taken = [min(asked, max(0, self.left - at * asked)) for at in range(times)]
        self.left -= sum(taken)
        return [5 - self.left, 50 - self.left, *taken]


async def test_what_is_asked_at_once_goes_in_one_trip_and_what_comes_meanwhile_in_the_next() -> None:
    numbers = Numbers()
    aside = CountedAside(numbers, lambda: NOW)

    first = asyncio.gather(*(aside.check(CHECK) for _ in range(3)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    decisions = [*await asyncio.gather(*(aside.check(CHECK) for _ in range(4))), *await first]

    assert numbers.trips == [3, 4]
    assert [one.is_allowed for one in decisions if one] == [True, True, False, False, True, True, True]
    assert [one.minute.remaining for one in decisions if one] == [1, 0, 0, 0, 4, 3, 2]


async def test_tenants_go_apart() -> None:
    numbers = Numbers()
    aside = CountedAside(numbers, lambda: NOW)

    await asyncio.gather(aside.check(CHECK), aside.check(CHECK._replace(tenant="another")))

    assert numbers.trips == [1, 1]


async def test_all_who_asked_hear_that_it_cannot_be_asked_and_it_is_asked_again() -> None:
    numbers = Numbers()
    aside = CountedAside(numbers, lambda: NOW)
    numbers.away = True
    assert await asyncio.gather(*(aside.check(CHECK) for _ in range(3))) == [None] * 3

    numbers.away, numbers.broken = False, True
    with pytest.raises(ValueError, match="broken"):
        await aside.check(CHECK)

    numbers.broken = False
    decision = await aside.check(CHECK)
    assert decision is not None
    assert decision.is_allowed


async def test_who_waits_no_more_harms_nobody_else() -> None:
    numbers = Numbers()
    aside = CountedAside(numbers, lambda: NOW)
    waiting = [asyncio.create_task(aside.check(CHECK)) for _ in range(3)]
    await asyncio.sleep(0)

    waiting[0].cancel()

    assert [one is not None for one in await asyncio.gather(*waiting[1:])] == [True, True]
