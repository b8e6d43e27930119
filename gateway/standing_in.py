"""While the limiter cannot decide: by what it has written down, and where that cannot be asked, by what it told last.

Kong's ``fault_tolerant`` lets everything pass meanwhile, so that whoever calls in the seconds after a limiter has died
has no limit at all. Here all processes count together where the limiter writes. Without that place as well each lets
pass what was left of both windows when the limiter last spoke, less what it has let pass since, and tells the limiter
of that when it is back.

Weakness: without either, as many processes as there are let pass so much, each for itself; and what they let pass in a
minute that has ended is not counted in the hour when the limiter is back.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from actors.rate_limiter.clock import Instant
from actors.rate_limiter.decision import HOUR_S, MINUTE_S, Decision, Limits, Resets, WindowState, retry_after_s
from actors.rate_limiter.keys import Pair
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.way import CHECK_S
from gateway.limiter import Aside, Limiter
from kernel.errors import SpazaError
from telemetry.log import get_logger

# Of the time for a decision the limiter has so much, and never more than it needs to be started again.
_ASKING: Final = 2 / 3
_log = get_logger("gateway")


class _Left:
    """What is left of the windows of one tenant on one route, and what the limiter does not know of."""

    __slots__ = ("hour", "hour_until", "limits", "minute", "minute_until", "owed")

    def __init__(self, limits: Limits, minute_until: float, hour_until: float) -> None:
        self.limits, self.owed = limits, 0
        self.minute, self.hour = limits
        self.minute_until, self.hour_until = minute_until, hour_until

    def turn(self, limits: Limits, now: float) -> None:
        """Begin the windows whose time has come, and take on limits that were changed."""
        if limits != self.limits:
            self.minute = max(0, self.minute + limits.minute - self.limits.minute)
            self.hour = max(0, self.hour + limits.hour - self.limits.hour)
            self.limits = limits
        if now >= self.minute_until:
            # What is owed counts in its own minute or not at all: told later, it would be taken from the next.
            self.minute, self.owed = limits.minute, 0
            self.minute_until += (now - self.minute_until) // MINUTE_S * MINUTE_S + MINUTE_S
        if now >= self.hour_until:
            self.hour = limits.hour
            self.hour_until += (now - self.hour_until) // HOUR_S * HOUR_S + HOUR_S

    def told(self, decision: Decision, now: float) -> None:
        """Believe the limiter; of answers that overtake each other within a window, the one that leaves least."""
        minute, hour = decision.minute, decision.hour
        self.minute, self.minute_until = _least((self.minute, self.minute_until), minute, MINUTE_S, now)
        self.hour, self.hour_until = _least((self.hour, self.hour_until), hour, HOUR_S, now)

    def take(self, check: Check, now: float) -> Decision:
        """Decide by what is left."""
        least = min(self.minute, self.hour)
        admitted = check.cost if check.cost <= least else least if check.partly else 0
        self.minute -= admitted
        self.hour -= admitted
        self.owed += admitted
        minute = WindowState(self.limits.minute, self.minute, self.minute_until - now)
        hour = WindowState(self.limits.hour, self.hour, self.hour_until - now)
        return Decision(admitted, check.cost, minute, hour, retry_after_s(check.cost, admitted, minute, hour))


class StandingIn:
    """A limiter that always decides.

    Asks the one that is given, and decides in its place where that cannot. For one event loop.

    Args:
        limiter: decides while it can.
        aside: decides while it cannot; None for nobody.
        capacity: of how many tenants and routes it remembers what is left; those that were not asked for longest are
            forgotten first, and begin with whole limits.
        wall: Unix seconds; when the windows of those end of which nothing is known.
        monotonic: seconds that only go up.
    """

    def __init__(
        self,
        limiter: Limiter,
        aside: Aside | None = None,
        *,
        capacity: int = 10_000,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limiter, self._aside, self._capacity = limiter, aside, capacity
        self._wall, self._monotonic = wall, monotonic
        self._known: OrderedDict[Pair, _Left] = OrderedDict()
        self._stands_in = False

    async def check(self, check: Check, *, timeout_s: float) -> Decision:
        """Decide; see ``Limiter``. It never raises for a limiter that cannot.

        Args:
            check: of one tenant and route.
            timeout_s: in which it is decided, by whomever.
        """
        left, end = self._left(check), self._monotonic() + timeout_s
        asked_until = self._monotonic() + min(CHECK_S, timeout_s * _ASKING)
        try:
            if left.owed:
                await self._settle(left, check, asked_until - self._monotonic())
            decision = await self._limiter.check(check, timeout_s=max(0.0, asked_until - self._monotonic()))
        except SpazaError as error:
            if not self._stands_in:
                self._stands_in = True
                _log.warning(
                    "limiter_stood_in_for", route=check.route, error=error.code, correlation_id=check.correlation_id
                )
            counted = await self._counted_aside(check, end - self._monotonic())
            left.turn(check.limits, self._monotonic())
            if counted is None:
                return left.take(check, self._monotonic())
            decision = counted
        else:
            if self._stands_in:
                self._stands_in = False
                _log.info("limiter_decides_again", route=check.route)
        left.told(decision, self._monotonic())
        return decision

    async def _counted_aside(self, check: Check, timeout_s: float) -> Decision | None:
        if self._aside is None:
            return None
        try:
            async with asyncio.timeout(timeout_s):
                return await self._aside.check(check)
        except TimeoutError:
            # It may have been counted, and is counted here as well.
            return None

    async def _settle(self, left: _Left, check: Check, timeout_s: float) -> None:
        """Have the limiter count what was let pass without it, as far as there is room."""
        owed, left.owed = left.owed, 0
        until = left.minute_until
        try:
            await self._limiter.check(check._replace(cost=owed, partly=True), timeout_s=timeout_s)
        except SpazaError:
            if left.minute_until == until:
                left.owed += owed
            raise

    def _left(self, check: Check) -> _Left:
        pair, now = check.pair, self._monotonic()
        left = self._known.get(pair)
        if left is None:
            wall = self._wall()
            resets = Resets.at(Instant(wall, wall))
            left = self._known[pair] = _Left(check.limits, now + resets.minute_s, now + resets.hour_s)
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(pair)
            left.turn(check.limits, now)
        return left


def _least(known: tuple[int, float], told: WindowState, window_s: int, now: float) -> tuple[int, float]:
    """What is left of a window, and until when, after the limiter has spoken of it."""
    left, until = known
    told_until = now + told.resets_in_s
    # The same window, seen at two moments: its end moves by what an answer takes on its way.
    if abs(told_until - until) < window_s / 2:
        return min(left, told.remaining), until
    return told.remaining, told_until
