"""A limiter with its counters in a real Redis, under a clock that the test sets; without Ray."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial

import pytest

from actors.rate_limiter.decision import Decision, Limits, decided
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.owner import Owner
from cache.connection import RedisConnection
from cache.counters import RedisCounters, RedisTaking
from cluster.redis_server import RedisServer
from gateway.counted_aside import CountedAside
from kernel.identifiers import new_id
from tests.servers import PATIENT_REDIS

HOUR = 1_800_000_000.0
LIMITS = Limits(3, 5)


class Clocks:
    """A wall clock and a clock that nobody sets."""

    def __init__(self) -> None:
        self.wall, self.passed = HOUR + 10.0, 0.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.passed += seconds


class Limiters:
    """Owners of one tenant, one after the other."""

    def __init__(self, url: str) -> None:
        self.clocks, self.tenant = Clocks(), new_id()
        self._store = partial(RedisCounters, url, timeouts=PATIENT_REDIS)
        self._owner: Owner | None = None

    @property
    def owner(self) -> Owner:
        if self._owner is None:
            clocks = self.clocks
            self._owner = Owner(1, self._store(), wall=lambda: clocks.wall, monotonic=lambda: clocks.passed)
        return self._owner

    async def stop(self) -> None:
        if self._owner is not None:
            await self._owner.stop()
            self._owner = None

    async def ask(self, cost: int = 1, limits: Limits = LIMITS, *, times: int = 1) -> list[Decision]:
        return await self.ask_all([Check(self.tenant, "products", limits, cost)] * times)

    async def ask_all(self, checks: Sequence[Check]) -> list[Decision]:
        found = await self.owner.decide(checks, 1)
        assert found is not None
        return [
            decided(check.limits, check.cost, one.admitted, (one.minute_used, one.hour_used), found.resets)
            for check, one in zip(checks, found.verdicts, strict=True)
        ]


@pytest.fixture
async def limiters(counters_server: RedisServer) -> AsyncIterator[Limiters]:
    made = Limiters(counters_server.url)
    yield made
    await made.stop()


async def test_who_comes_again_when_told_gets_through(limiters: Limiters) -> None:
    *_, refused = await limiters.ask(times=4)
    assert refused.retry_after_s == 50.0

    limiters.clocks.pass_(49.9)
    assert not (await limiters.ask())[0].is_allowed
    limiters.clocks.pass_(0.1)

    *_, last = await limiters.ask(times=2)
    assert last.is_allowed
    [refused] = await limiters.ask()
    assert refused.retry_after_s == 3540.0
    limiters.clocks.pass_(3540.0)
    assert (await limiters.ask())[0].is_allowed


async def test_the_next_owner_goes_on_where_the_last_one_has_stopped(limiters: Limiters) -> None:
    await limiters.ask(times=2)
    await limiters.stop()

    decisions = await limiters.ask(times=2)

    assert [one.is_allowed for one in decisions] == [True, False]
    assert decisions[0].hour.remaining == 2


async def test_counters_stand_in_redis_under_their_names_and_lapse(
    limiters: Limiters, counters_server: RedisServer
) -> None:
    await limiters.ask(times=2)
    await limiters.stop()
    connection = RedisConnection(counters_server.url, timeouts=PATIENT_REDIS)

    names = sorted(await connection.client.keys(f"rate_limit:{limiters.tenant}:*"))

    assert names == [
        f"rate_limit:{limiters.tenant}:products:hour:{int(HOUR // 3600)}".encode(),
        f"rate_limit:{limiters.tenant}:products:minute:{int(HOUR // 60)}".encode(),
    ]
    assert [await connection.client.get(name) for name in names] == [b"2", b"2"]
    lives = [await connection.client.ttl(name) for name in names]
    assert 3590 + 55 <= lives[0] <= 3590 + 60
    assert 50 + 55 <= lives[1] <= 50 + 60
    await connection.aclose()


async def test_a_clock_that_is_set_back_gives_nobody_a_second_window_and_keeps_nobody_out(limiters: Limiters) -> None:
    await limiters.ask(times=3)

    limiters.clocks.wall -= 3600.0
    [refused] = await limiters.ask()

    assert not refused.is_allowed
    assert refused.retry_after_s == pytest.approx(50.0 / 0.9)
    limiters.clocks.pass_(50.0 / 0.9 + 0.001)
    assert (await limiters.ask())[0].is_allowed


async def test_a_clock_that_is_set_forth_and_back_costs_one_window(limiters: Limiters) -> None:
    await limiters.ask(times=3)

    limiters.clocks.wall += 120.0
    forth = await limiters.ask(times=3)
    limiters.clocks.wall -= 120.0
    back = await limiters.ask(times=3)

    assert [one.admitted for one in forth] == [1, 1, 0]
    assert [one.admitted for one in back] == [0, 0, 0]


async def test_one_batch_is_decided_in_its_order_each_by_itself(limiters: Limiters) -> None:
    other = new_id()
    checks = [
        Check(limiters.tenant, "products", LIMITS, 2),
        Check(other, "products", LIMITS),
        Check(limiters.tenant, "products", LIMITS, 2),
        Check(limiters.tenant, "products", LIMITS, 1),
        Check(limiters.tenant, "orders", LIMITS, 3),
    ]

    decisions = await limiters.ask_all(checks)

    assert [one.admitted for one in decisions] == [2, 1, 0, 1, 3]


async def test_who_is_idle_for_an_hour_is_forgotten_in_memory(limiters: Limiters) -> None:
    await limiters.ask()
    assert limiters.owner.statistics()["counters"] == 1

    limiters.clocks.pass_(3600.0)
    await limiters.ask_all([Check(new_id(), "products", LIMITS)])

    figures = limiters.owner.statistics()
    assert (figures["counters"], figures["tenants"]) == (1, 1)


async def test_figures_name_the_busiest_tenants_with_their_windows(limiters: Limiters) -> None:
    await limiters.ask(times=4)

    figures = limiters.owner.statistics()

    assert (figures["admitted"], figures["refused"], figures["checks"], figures["calls"]) == (3, 1, 4, 1)
    assert figures["top"] == {
        limiters.tenant: {
            "products": {
                "minute": {"limit": 3, "used": 3, "remaining": 0, "resets_at": "2027-01-15T08:01:00Z"},
                "hour": {"limit": 5, "used": 3, "remaining": 2, "resets_at": "2027-01-15T09:00:00Z"},
            }
        }
    }


async def test_an_owner_that_ends_decides_nothing_more(limiters: Limiters) -> None:
    owner = limiters.owner
    await owner.stop()

    assert await owner.decide([], 1) is None


async def test_a_caller_that_thinks_of_other_owners_gets_no_decision(limiters: Limiters) -> None:
    assert await limiters.owner.decide([], 2) is None


async def test_an_owner_that_stood_still_hears_what_was_counted_aside_before_it_decides(
    limiters: Limiters, counters_server: RedisServer
) -> None:
    check = Check(limiters.tenant, "products", LIMITS)
    async with aclosing(RedisTaking(counters_server.url, timeouts=PATIENT_REDIS)) as taking:
        aside = CountedAside(taking, lambda: limiters.clocks.wall)
        assert (await limiters.ask())[0].is_allowed
        async with asyncio.timeout(60.0):
            while (written := await aside.check(check._replace(cost=0))) is None or not written.minute.used:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.01)

        limiters.clocks.pass_(3.0)
        counted = [await aside.check(check) for _ in range(3)]
    [decision] = await limiters.ask()

    assert [one.is_allowed for one in counted if one] == [True, True, False]
    assert (decision.is_allowed, decision.minute.used) == (False, 3)
