"""Counting without the owner: while it is silent, whoever has asked it in vain counts where it writes.

All processes count in the same place, each step one of Redis' own, so they admit together what was left by what the
owner has written, and no more. What it had counted and not written they do not know. When it is back, or another in its
place, it hears what was counted aside, with the first thing that it writes of the tenant at the latest.

What a process is asked at once of one tenant and route goes there together: whoever has waited for the owner in vain
has little time left.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from actors.rate_limiter.clock import Instant
from actors.rate_limiter.decision import Decision, Limits, Resets, decided
from actors.rate_limiter.keys import Pair
from actors.rate_limiter.ledger import KEPT_BEYOND_S, Check, Earlier
from cache.counters import Limited


class Taking(Protocol):
    """Takes from what is left; ``RedisTaking``."""

    async def take(
        self, numbers: Sequence[Limited], asked: int, *, partly: bool = False, times: int = 1
    ) -> list[int] | None:
        """See there."""


class _Asked(NamedTuple):
    """What can be asked for together."""

    pair: Pair
    limits: Limits
    cost: int
    partly: bool


class CountedAside:
    """Decides by what is written down. For one event loop.

    Args:
        taking: takes from it.
        wall: Unix seconds.
    """

    def __init__(self, taking: Taking, wall: Callable[[], float] = time.time) -> None:
        self._taking, self._wall = taking, wall
        self._waiting: dict[_Asked, list[asyncio.Future[Decision | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def check(self, check: Check) -> Decision | None:
        """Decide, and count what is admitted; None while that cannot be done here."""
        asked = _Asked(check.pair, check.limits, check.cost, check.partly)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Decision | None] = loop.create_future()
        waiting = self._waiting.get(asked)
        if waiting is None:
            self._waiting[asked] = [answer]
            task = loop.create_task(self._decide(asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            waiting.append(answer)
        return await answer

    async def _decide(self, asked: _Asked) -> None:
        """Decide for all who wait, and for those who come meanwhile, until nobody does."""
        while waiting := self._waiting[asked]:
            self._waiting[asked] = []
            try:
                decisions = await self._decisions(asked, len(waiting))
            except Exception as error:  # noqa: BLE001 - whoever asked raises it
                for answer in (*waiting, *self._waiting.pop(asked)):
                    if not answer.done():
                        answer.set_exception(error)
                return
            for answer, decision in zip(waiting, decisions, strict=True):
                if not answer.done():
                    answer.set_result(decision)
        del self._waiting[asked]

    async def _decisions(self, asked: _Asked, count: int) -> list[Decision | None]:
        wall = self._wall()
        now = Instant(wall, wall)
        resets = Resets.at(now)
        minute, hour, minute_aside, hour_aside = Earlier.of(asked.pair, now).keys
        windows = (
            Limited(minute, minute_aside, asked.limits.minute, resets.minute_s + KEPT_BEYOND_S),
            Limited(hour, hour_aside, asked.limits.hour, resets.hour_s + KEPT_BEYOND_S),
        )
        found = await self._taking.take(windows, asked.cost, partly=asked.partly, times=count)
        if found is None:
            return [None] * count
        minute_used, hour_used, *taken = found
        later = sum(taken)
        decisions: list[Decision | None] = []
        for admitted in taken:
            later -= admitted
            used = minute_used - later, hour_used - later
            decisions.append(decided(asked.limits, asked.cost, admitted, used, resets))
        return decisions
