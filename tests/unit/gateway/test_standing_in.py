"""What passes while the limiter cannot decide, and what it is told afterwards."""

import asyncio

import pytest

from actors.rate_limiter.clock import Instant
from actors.rate_limiter.decision import Decision, Limits, Resets, decided
from actors.rate_limiter.errors import LimiterUnavailableError
from actors.rate_limiter.ledger import Check, Earlier, Ledger
from actors.rate_limiter.way import CHECK_S
from actors.rate_limiter.window import Used
from gateway.limiter import Aside
from gateway.standing_in import StandingIn

# Ten seconds into an hour.
NOW = 1_800_000_010.0
LIMITS = Limits(5, 100)
CHECK = Check("01a206e71a8876c38ef13d4c866fa497", "products", LIMITS)


class Bench:
    """A limiter that may be away, and who stands in for it, at a time that stands still."""

    def __init__(self, capacity: int = 10, aside: Aside | None = None) -> None:
        self.now, self.away, self.ledger, self.asked = NOW, False, Ledger(100), list[Check]()
        self._standing = StandingIn(self, aside, capacity=capacity, wall=lambda: self.now, monotonic=lambda: self.now)

    async def check(self, check: Check, *, timeout_s: float) -> Decision:
        """The limiter's part."""
        if self.away:
            raise LimiterUnavailableError("rate_limiter:0", "gone")
        self.asked.append(check)
        now = Instant(self.now, self.now)
        if self.ledger.unknown([check]):
            self.ledger.begin(Earlier.of(check.pair, now), Used(), check.limits)
        verdict = self.ledger.decide(check, now)
        used = verdict.minute_used, verdict.hour_used
        return decided(check.limits, check.cost, verdict.admitted, used, Resets.at(now))

    async def admitted(self, times: int, check: Check = CHECK) -> int:
        """How many of so many calls pass."""
        decisions = [await self._standing.check(check, timeout_s=1.0) for _ in range(times)]
        return sum(one.is_allowed for one in decisions)

    async def ask(self, check: Check = CHECK, timeout_s: float = 1.0) -> Decision:
        """One call."""
        return await self._standing.check(check, timeout_s=timeout_s)


class Shared:
    """Where several count what is left of five, which may be away as well."""

    def __init__(self) -> None:
        self.used, self.away = 0, False

    async def check(self, check: Check) -> Decision | None:
        if self.away:
            return None
        admitted = check.cost if self.used + check.cost <= LIMITS.minute else 0
        self.used += admitted
        return decided(check.limits, check.cost, admitted, (self.used, self.used), Resets(50.0, 3_590.0))


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_what_was_left_passes_while_the_limiter_is_away(bench: Bench) -> None:
    assert await bench.admitted(2) == 2
    bench.away = True

    assert await bench.admitted(10) == 3


async def test_of_whom_nothing_is_known_the_whole_limit_passes(bench: Bench) -> None:
    bench.away = True

    assert await bench.admitted(10) == 5
    assert await bench.admitted(10, CHECK._replace(route="orders")) == 5


async def test_the_limiter_is_told_when_it_is_back(bench: Bench) -> None:
    await bench.admitted(1)
    bench.away = True
    await bench.admitted(3)
    bench.away = False

    assert (await bench.ask()).minute.remaining == 0
    assert [(one.cost, one.partly) for one in bench.asked] == [(1, False), (3, True), (1, False)]
    assert not (await bench.ask()).is_allowed


async def test_what_could_not_be_told_is_told_with_the_next_call(bench: Bench) -> None:
    await bench.admitted(1)
    bench.away = True
    await bench.admitted(2)
    await bench.admitted(1)  # fails in telling, and is owed as well
    bench.away = False

    await bench.ask()
    assert [one.cost for one in bench.asked] == [1, 3, 1]


async def test_another_minute_begins_with_the_whole_limit_and_owes_nothing(bench: Bench) -> None:
    bench.away = True
    await bench.admitted(5)
    refused = await bench.ask()
    assert refused.retry_after_s == 50.0

    bench.now += refused.retry_after_s
    assert await bench.admitted(4) == 4
    bench.now += 60.0
    bench.away = False

    assert (await bench.ask()).minute.remaining == 4


async def test_the_hour_counts_on_over_its_minutes(bench: Bench) -> None:
    check = CHECK._replace(limits=Limits(5, 8))
    bench.away = True
    assert await bench.admitted(9, check) == 5
    bench.now += 60.0
    assert await bench.admitted(9, check) == 3

    refused = await bench.ask(check)
    assert refused.retry_after_s == 3600.0 - 70.0
    bench.now += refused.retry_after_s
    assert await bench.admitted(9, check) == 5


async def test_a_changed_limit_counts_at_once(bench: Bench) -> None:
    await bench.admitted(4)
    bench.away = True

    assert await bench.admitted(9, CHECK._replace(limits=Limits(7, 100))) == 3
    assert await bench.admitted(9, CHECK._replace(limits=Limits(2, 100))) == 0


async def test_of_answers_that_overtake_each_other_the_one_that_leaves_least_is_believed() -> None:
    late = [decided(LIMITS, 1, 1, (used, used), Resets(50.0, 3_590.0)) for used in (4, 3)]

    class Overtaking:
        async def check(self, check: Check, *, timeout_s: float) -> Decision:
            if not late:
                raise LimiterUnavailableError("rate_limiter:0", "gone")
            return late.pop(0)

    standing = StandingIn(Overtaking(), wall=lambda: NOW, monotonic=lambda: NOW)
    decisions = [await standing.check(CHECK, timeout_s=1.0) for _ in range(4)]

    assert [one.is_allowed for one in decisions] == [True, True, True, False]


async def test_it_remembers_no_more_than_it_may() -> None:
    bench = Bench(capacity=2)
    await bench.admitted(5)
    for name in ("one", "two"):
        await bench.ask(CHECK._replace(route=name))
    bench.away = True

    assert await bench.admitted(9) == 5
    assert await bench.admitted(9, CHECK._replace(route="two")) == 4


async def test_all_that_stand_in_count_together_and_owe_nothing() -> None:
    aside = Shared()
    benches = [Bench(aside=aside) for _ in range(3)]
    for bench in benches:
        bench.away = True

    assert sum([await bench.admitted(3) for bench in benches]) == 5

    benches[0].away = False
    await benches[0].ask()
    assert [one.cost for one in benches[0].asked] == [1]


async def test_where_nobody_can_be_asked_it_goes_on_from_what_was_told_last() -> None:
    aside = Shared()
    bench = Bench(aside=aside)
    bench.away = True
    assert await bench.admitted(2) == 2

    aside.away = True

    assert await bench.admitted(9) == 3


@pytest.mark.parametrize(("time_s", "asking_s"), [(30.0, CHECK_S), (1.5, 1.0)])
async def test_the_limiter_has_a_part_of_the_time_and_no_more_than_it_needs(time_s: float, asking_s: float) -> None:
    asked = list[float]()

    class Slow:
        now = NOW

        async def check(self, check: Check, *, timeout_s: float) -> Decision:
            asked.append(timeout_s)
            self.now += timeout_s / 4
            if check.partly:
                return decided(check.limits, check.cost, check.cost, (2, 2), Resets(50.0, 3_590.0))
            raise LimiterUnavailableError("rate_limiter:0", "gone")

    slow = Slow()
    standing = StandingIn(slow, wall=lambda: slow.now, monotonic=lambda: slow.now)

    await standing.check(CHECK, timeout_s=time_s)
    assert asked.pop() == pytest.approx(asking_s)

    # What is owed is told first, and takes of the same time.
    await standing.check(CHECK, timeout_s=time_s)
    assert asked == pytest.approx([asking_s, asking_s * 3 / 4])


async def test_where_nobody_answers_in_time_it_decides_alone() -> None:
    class Hanging:
        async def check(self, _check: Check) -> Decision | None:
            await asyncio.Event().wait()
            return None

    bench = Bench(aside=Hanging())
    await bench.admitted(2)
    bench.away = True

    assert [(await bench.ask(timeout_s=0.01)).is_allowed for _ in range(4)] == [True, True, True, False]
