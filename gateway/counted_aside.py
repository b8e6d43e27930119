"""Counting without the owner: while it is silent, whoever has asked it in vain counts where it writes.

All processes count in the same place, each step one of Redis' own, so they admit together what was left by what the
owner has written, and no more. What it had counted and not written they do not know. When it is back, or another in its
place, it hears what was counted aside, with the first thing that it writes of the tenant at the latest.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from actors.rate_limiter.clock import Instant
from actors.rate_limiter.decision import Decision, Resets, decided
from actors.rate_limiter.ledger import KEPT_BEYOND_S, Check, Earlier
from cache.counters import Limited


class Taking(Protocol):
    """Takes from what is left; ``RedisTaking``."""

    async def take(self, numbers: Sequence[Limited], asked: int, *, partly: bool = False) -> list[int] | None:
        """See there."""


class CountedAside:
    """Decides by what is written down.

    Args:
        taking: takes from it.
        wall: Unix seconds.
    """

    def __init__(self, taking: Taking, wall: Callable[[], float] = time.time) -> None:
        self._taking, self._wall = taking, wall

    async def check(self, check: Check) -> Decision | None:
        """Decide, and count what is admitted; None while that cannot be done here."""
        wall = self._wall()
        now = Instant(wall, wall)
        resets = Resets.at(now)
        minute, hour, minute_aside, hour_aside = Earlier.of(check.pair, now).keys
        windows = (
            Limited(minute, minute_aside, check.limits.minute, resets.minute_s + KEPT_BEYOND_S),
            Limited(hour, hour_aside, check.limits.hour, resets.hour_s + KEPT_BEYOND_S),
        )
        found = await self._taking.take(windows, check.cost, partly=check.partly)
        if found is None:
            return None
        admitted, minute_used, hour_used = found
        return decided(check.limits, check.cost, admitted, (minute_used, hour_used), resets)
