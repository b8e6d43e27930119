"""The way to one owner: asks until there is an answer, and leaves a silent owner alone. Knows nothing of Ray."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from actors.rate_limiter.coalescing import CallLimits, Coalescer, Send
from actors.rate_limiter.decision import Decision
from actors.rate_limiter.errors import LimiterOverloadedError, LimiterUnavailableError
from actors.rate_limiter.ledger import Check
from kernel.breaker import Admission, Breaker, BreakerPolicy
from kernel.growth import growing_s

# Longer than an owner takes to be started again.
CHECK_S: Final = 2.5
_AGAIN_FIRST_S, _AGAIN_LONGEST_S = 0.02, 0.2
_BREAKER: Final = BreakerPolicy(first_s=0.5, longest_s=5.0, probe_s=CHECK_S)
# A timer that rings so late says that the event loop stood still, and not that nobody has answered.
_STALLED_S: Final = 0.05
# In which an answer that came meanwhile is seen.
_GRACE_S: Final = 0.25


class Way:
    """Asks one owner. For one event loop.

    An owner that has died is asked again until its successor answers. One that was silent for all of ``CHECK_S`` is
    left alone for a moment; who had less patience than that has learnt nothing about it, nor has a process that stood
    still itself.

    Args:
        owner: its name.
        send: a call to it.
        limits: of the calls.
    """

    def __init__(self, owner: str, send: Send, limits: CallLimits) -> None:
        self._owner, self._send = owner, send
        self._coalescer, self._breaker = Coalescer(owner, self._sent, limits), Breaker(_BREAKER)
        # Since when it owes an answer; None while it does not.
        self._silent_since: float | None = None

    async def ask(self, checks: Sequence[Check], asked: float, timeout_s: float) -> Sequence[Decision]:
        """Ask, and ask again.

        Args:
            checks: for this owner.
            asked: now, by the event loop.
            timeout_s: from then.

        Raises:
            LimiterUnavailableError: it did not answer in time, or a moment ago.
            LimiterOverloadedError: too many wait for it.
        """
        if self._breaker.admit(asked) is Admission.REFUSED:
            raise LimiterUnavailableError(self._owner, "it did not answer a moment ago")
        if self._silent_since is None:
            self._silent_since = asked
        loop, end = asyncio.get_running_loop(), asked + timeout_s
        failures, lost = 0, ""
        while True:
            try:
                return await self._answer(self._coalescer.ask(checks), end)
            except LimiterOverloadedError:
                raise
            except LimiterUnavailableError as error:
                failures, lost = failures + 1, f": {error.reason}"
            except TimeoutError as error:
                raise self._given_up(timeout_s, lost) from error
            pause_s = growing_s(failures, _AGAIN_FIRST_S, _AGAIN_LONGEST_S)
            pause_s *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, guards nothing
            await asyncio.sleep(max(0.0, min(pause_s, end - loop.time())))
            if loop.time() >= end:
                raise self._given_up(timeout_s, lost)

    async def _answer(self, answer: "asyncio.Future[Sequence[Decision]]", end: float) -> Sequence[Decision]:
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def ring(due: float, *, again: bool = True) -> None:
            nonlocal timer
            now = loop.time()
            if again and now - due > _STALLED_S:
                # What it is owed since before cannot be known.
                self._silent_since = now
                timer = loop.call_later(_GRACE_S, lambda: ring(now, again=False))
            elif not answer.done():
                answer.set_exception(TimeoutError())

        timer = loop.call_at(end, ring, end)
        try:
            return await answer
        finally:
            timer.cancel()

    def _given_up(self, timeout_s: float, lost: str) -> LimiterUnavailableError:
        now = asyncio.get_running_loop().time()
        if self._silent_since is not None and now - self._silent_since >= CHECK_S - _STALLED_S:
            self._breaker.failed(now)
        return LimiterUnavailableError(self._owner, f"no answer within {timeout_s:g} s{lost}")

    async def _sent(self, checks: Sequence[Check]) -> Sequence[Decision]:
        decisions = await self._send(checks)
        # Also where nobody waits for it any more.
        self._silent_since = None
        self._breaker.passed()
        return decisions
