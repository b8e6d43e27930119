"""The sandbox's clock: the machine's, which a test may push forward to see days of redelivery in a moment."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress


class Clock:
    """Unix seconds. Who sleeps until some time asks to be woken when the clock is pushed."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._ahead_s = 0.0
        self._wakers: list[Callable[[], None]] = []

    def now(self) -> float:
        """Unix seconds."""
        return self._source() + self._ahead_s

    def advance(self, seconds: float) -> None:
        """Push the clock forward and wake all who wait for it."""
        if seconds < 0:
            raise ValueError(f"the clock goes forward only, not by {seconds} s")
        self._ahead_s += seconds
        for wake in self._wakers:
            wake()

    def on_advance(self, wake: Callable[[], None]) -> None:
        """Call this whenever the clock is pushed."""
        self._wakers.append(wake)


class Alarm:
    """Lets one task sleep until a time or until somebody has news for it."""

    # Seconds of sleep without a reason to wake.
    _LONGEST_S = 60.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()
        clock.on_advance(self._rung.set)

    def ring(self) -> None:
        """There is news."""
        self._rung.set()

    async def wait(self, until: float | None) -> None:
        """Sleep until the time by the sandbox's clock, or the next ring; None is for the ring alone."""
        left_s = self._LONGEST_S if until is None else min(until - self._clock.now(), self._LONGEST_S)
        if left_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._rung.wait()
        self._rung.clear()
