"""Coalescing: checks that come while a call to an owner is under way ride together in the next one.

A hop costs about the same whatever it carries, so under load calls grow by themselves and a lone check goes at once.
Knows nothing of Ray: the call is given.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from actors.rate_limiter.decision import Decision
from actors.rate_limiter.errors import LimiterOverloadedError, LimiterUnavailableError, RateLimiterError
from actors.rate_limiter.ledger import Check

Send = Callable[[Sequence[Check]], Awaitable[Sequence[Decision]]]


class CallLimits(NamedTuple):
    """What one handle may have under way and waiting, for each owner.

    Attributes:
        calls: under way at once.
        call_checks: of one call, unless one caller has more.
        waiting_checks: that may wait for a call; more are refused.
    """

    calls: int = 2
    call_checks: int = 1_024
    waiting_checks: int = 20_000


class _Ride(NamedTuple):
    checks: Sequence[Check]
    answer: "asyncio.Future[Sequence[Decision]]"


class Coalescer:
    """Sends to one owner. For one event loop."""

    def __init__(self, owner: str, send: Send, limits: CallLimits) -> None:
        self._owner, self._send, self._limits = owner, send, limits
        self._waiting: deque[_Ride] = deque()
        self._waiting_checks = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._pump_due = False

    def ask(self, checks: Sequence[Check]) -> "asyncio.Future[Sequence[Decision]]":
        """Ask with the next call; cancelling the answer before that takes the question back.

        Raises:
            LimiterOverloadedError: too many wait.
        """
        if self._waiting_checks + len(checks) > self._limits.waiting_checks:
            raise LimiterOverloadedError(self._owner, f"{self._waiting_checks} checks wait for it")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Decision]] = loop.create_future()
        self._waiting.append(_Ride(checks, answer))
        self._waiting_checks += len(checks)
        if not self._pump_due and len(self._calls) < self._limits.calls:
            # After everybody who can go on now has asked: they ride together.
            self._pump_due = True
            loop.call_soon(self._pump)
        return answer

    def _pump(self) -> None:
        self._pump_due = False
        while self._waiting and len(self._calls) < self._limits.calls:
            rides = self._next_call()
            if rides:
                self._calls.add(asyncio.get_running_loop().create_task(self._call(rides)))

    def _next_call(self) -> list[_Ride]:
        rides: list[_Ride] = []
        checks = 0
        while self._waiting:
            ride = self._waiting[0]
            if rides and checks + len(ride.checks) > self._limits.call_checks:
                break
            self._waiting.popleft()
            self._waiting_checks -= len(ride.checks)
            if ride.answer.done():
                continue  # who asked has given up
            checks += len(ride.checks)
            rides.append(ride)
        return rides

    async def _call(self, rides: Sequence[_Ride]) -> None:
        try:
            decisions = await self._send([check for ride in rides for check in ride.checks])
            at = 0
            for ride in rides:
                if not ride.answer.done():
                    ride.answer.set_result(decisions[at : at + len(ride.checks)])
                at += len(ride.checks)
        except RateLimiterError as error:
            _fail(rides, error)
        except Exception as error:
            _fail(rides, LimiterUnavailableError(self._owner, type(error).__name__))
            raise
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._calls.discard(task)
            if task.cancelling():  # the end of the event loop
                for ride in rides:
                    ride.answer.cancel()
            else:
                self._pump()


def _fail(rides: Sequence[_Ride], error: RateLimiterError) -> None:
    for ride in rides:
        if not ride.answer.done():
            ride.answer.set_exception(error)
