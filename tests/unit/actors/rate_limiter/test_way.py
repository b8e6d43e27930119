"""How long an owner is waited for, by a clock of the test's own, and what is learnt of one that is silent."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from actors.rate_limiter.coalescing import CallLimits
from actors.rate_limiter.decision import Decision
from actors.rate_limiter.errors import LimiterUnavailableError
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.way import CHECK_S, Way
from tests.unit.actors.rate_limiter.test_coalescing import Owner, check, settle


class Clock:
    """The event loop's."""

    def __init__(self) -> None:
        self.now = 0.0

    async def at(self, now: float) -> None:
        self.now = now
        await settle()


class Bench:
    """A way to an owner that answers when it is let go."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.owner = clock, Owner()
        self.error: LimiterUnavailableError | None = None
        self.way = Way("owner", self._send, CallLimits(calls=8))

    async def _send(self, checks: Sequence[Check]) -> Sequence[Decision]:
        if self.error is not None:
            raise self.error
        return await self.owner(checks)

    async def ask(self, number: int = 1, timeout_s: float = CHECK_S) -> "asyncio.Task[Sequence[Decision]]":
        asked = asyncio.create_task(self.way.ask([check(number)], self.clock.now, timeout_s))
        await settle()
        return asked


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    clock = Clock()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "time", lambda: clock.now)
        made = Bench(clock)
        yield made
        for gate in made.owner.gates:
            if not gate.done():
                gate.set_result(None)
        await settle()


async def _refused(bench: Bench) -> bool:
    asked = await bench.ask(9)
    refused = asked.done() and isinstance(asked.exception(), LimiterUnavailableError)
    asked.cancel()
    return refused


async def test_an_answer_that_came_while_the_process_stood_still_is_taken(bench: Bench) -> None:
    asked = await bench.ask()

    await bench.clock.at(CHECK_S + 3.0)
    assert not asked.done()
    bench.owner.gates[0].set_result(None)
    await settle()

    assert (await asked)[0].is_allowed
    assert not await _refused(bench)


async def test_a_process_that_stood_still_has_learnt_nothing_of_the_owner(bench: Bench) -> None:
    asked = await bench.ask()

    await bench.clock.at(CHECK_S + 3.0)
    await bench.clock.at(CHECK_S + 3.26)

    with pytest.raises(LimiterUnavailableError, match=r"no answer within 2\.5 s"):
        await asked
    assert not await _refused(bench)


async def test_who_has_little_patience_keeps_nobody_else_out(bench: Bench) -> None:
    hasty = await bench.ask(1, 0.05)

    await bench.clock.at(0.06)

    with pytest.raises(LimiterUnavailableError):
        await hasty
    assert not await _refused(bench)


async def test_an_owner_that_answers_nobody_for_long_is_left_alone_for_a_moment_however_hasty_they_are(
    bench: Bench,
) -> None:
    for _ in range(26):
        hasty = await bench.ask(1, 0.1)
        await bench.clock.at(bench.clock.now + 0.1)
        assert isinstance(hasty.exception(), LimiterUnavailableError)

    assert await _refused(bench)
    await bench.clock.at(bench.clock.now + 0.6)
    assert not await _refused(bench)


async def test_an_answer_that_nobody_waits_for_any_more_tells_that_it_is_there(bench: Bench) -> None:
    hasty = await bench.ask(1, 0.1)
    await bench.clock.at(0.11)
    assert hasty.exception() is not None
    bench.owner.gates[0].set_result(None)
    await settle()

    # Much later, and by itself not for long.
    await bench.clock.at(60.0)
    hasty = await bench.ask(1, 0.1)
    await bench.clock.at(60.11)

    assert hasty.exception() is not None
    assert not await _refused(bench)


async def test_an_owner_that_has_died_is_asked_again_until_its_successor_answers(bench: Bench) -> None:
    bench.error = LimiterUnavailableError("owner", "it died")
    asked = await bench.ask()
    bench.error = None

    await bench.clock.at(0.3)
    bench.owner.gates[0].set_result(None)
    await settle()

    assert (await asked)[0].is_allowed


async def test_of_an_owner_that_stays_dead_the_reason_is_told(bench: Bench) -> None:
    bench.error = LimiterUnavailableError("owner", "it died")
    asked = await bench.ask(1, 1.0)

    for step in range(1, 12):
        await bench.clock.at(step / 10)

    with pytest.raises(LimiterUnavailableError, match=r"no answer within 1 s: it died"):
        await asked
