"""Checks that ride together."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from actors.rate_limiter.coalescing import CallLimits, Coalescer
from actors.rate_limiter.decision import Decision, Limits, WindowState
from actors.rate_limiter.errors import LimiterOverloadedError, LimiterUnavailableError
from actors.rate_limiter.ledger import Check


def check(number: int) -> Check:
    return Check(str(number), "products", Limits(1, 1))


def decision(one: Check) -> Decision:
    return Decision(1, 1, WindowState(int(one.tenant), 0, 1.0), WindowState(1, 0, 1.0))


class Owner:
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gates: list[asyncio.Future[None]] = []

    async def __call__(self, checks: Sequence[Check]) -> Sequence[Decision]:
        self.calls.append([one.tenant for one in checks])
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        return [decision(one) for one in checks]


@pytest.fixture
async def owner() -> AsyncIterator[Owner]:
    made = Owner()
    yield made
    while made.gates:
        gates, made.gates = made.gates, []
        for gate in gates:
            if not gate.done():
                gate.set_result(None)
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_asked_at_once_is_one_call_and_what_is_asked_meanwhile_the_next(owner: Owner) -> None:
    coalescer = Coalescer("owner", owner, CallLimits(calls=1))

    answers = [coalescer.ask([check(1)]), coalescer.ask([check(2), check(3)])]
    await settle()
    answers += [coalescer.ask([check(4)]), coalescer.ask([check(5)])]
    await settle()
    assert owner.calls == [["1", "2", "3"]]
    owner.gates[0].set_result(None)
    await settle()
    owner.gates[1].set_result(None)

    assert owner.calls == [["1", "2", "3"], ["4", "5"]]
    limits = [[one.minute.limit for one in await answer] for answer in answers]
    assert limits == [[1], [2, 3], [4], [5]]


async def test_no_more_calls_are_under_way_and_none_is_longer_than_allowed(owner: Owner) -> None:
    coalescer = Coalescer("owner", owner, CallLimits(calls=2, call_checks=2))

    for number in range(7):
        coalescer.ask([check(number)])
    await settle()

    assert owner.calls == [["0", "1"], ["2", "3"]]


async def test_who_has_given_up_is_not_asked_for(owner: Owner) -> None:
    coalescer = Coalescer("owner", owner, CallLimits(calls=1))
    coalescer.ask([check(1)])
    await settle()

    coalescer.ask([check(2)]).cancel()
    last = coalescer.ask([check(3)])
    owner.gates[0].set_result(None)
    await settle()
    owner.gates[1].set_result(None)
    await last

    assert owner.calls == [["1"], ["3"]]


async def test_more_than_may_wait_are_refused(owner: Owner) -> None:
    coalescer = Coalescer("owner", owner, CallLimits(calls=1, waiting_checks=2))
    coalescer.ask([check(1)])
    await settle()
    coalescer.ask([check(2), check(3)])

    with pytest.raises(LimiterOverloadedError):
        coalescer.ask([check(4)])


async def test_an_owner_that_cannot_be_asked_is_told_to_all_who_have_asked() -> None:
    async def lost(checks: Sequence[Check]) -> Sequence[Decision]:
        raise LimiterUnavailableError("owner", "gone")

    coalescer = Coalescer("owner", lost, CallLimits())
    answers = [coalescer.ask([check(1)]), coalescer.ask([check(2)])]

    for answer in answers:
        with pytest.raises(LimiterUnavailableError):
            await answer
