"""Since when statuses come in, so that only such time counts as waiting for one.

A status comes by the webhook and its queue to the processor. While one of them is away none can, however long it is
awaited. They are asked when something is in doubt, about as often as that is looked at.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from telemetry.log import get_logger

# Raises or is false where no status could come in now.
Probe = Callable[[], Awaitable[bool]]
_PROBE_S, _FRESH_S = 1.5, 1.0
# Above the longest time between two looks: the longest step of ``DoubtPolicy``, and a lease, for a look is at a batch
# whose end the next step counts from.
_UNSEEN_S = 45.0
_log = get_logger("notifier")


class Continuity:
    """Since when something has been so without a break, of which is known what was noted. Pure.

    Weakness: a break between two notes is not seen. Where they are further apart than ``unseen_s`` it begins anew.
    """

    def __init__(self, unseen_s: float = _UNSEEN_S) -> None:
        self._unseen_s = unseen_s
        self._last = float("-inf")
        self.since: float | None = None

    def note(self, now: float, *, holds: bool) -> None:
        """It is so now, or it is not."""
        if not holds:
            self.since = None
        elif self.since is None or now - self._last > self._unseen_s:
            self.since = now
        self._last = now


class Inflow:
    """Asks whether statuses come in, once for all who want to know at the same time. For one event loop.

    Args:
        probe: asks the webhook and what is behind it.
        clock: Unix seconds.
    """

    def __init__(self, probe: Probe, clock: Callable[[], float] = time.time) -> None:
        self._probe, self._clock = probe, clock
        self._continuity = Continuity()
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def since(self) -> float | None:
        """Unix seconds from which on a status could have come in, as far as was seen; None while none could."""
        async with self._lock:
            if not 0 <= self._clock() - self._asked_at < _FRESH_S:
                holds = await self._ask()
                self._asked_at = self._clock()
                self._continuity.note(self._asked_at, holds=holds)
            return self._continuity.since

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(_PROBE_S):
                return await self._probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing came in by it
            _log.info("statuses_do_not_come_in", error=type(error).__name__)
            return False


def flows(queue: Mapping[str, Any]) -> bool:
    """Whether a queue takes messages and hands them on, by its figures (``MailboxHandle.statistics``)."""
    return bool(
        queue.get("state") == "owning" and queue["consumer_up"] and not queue["paused"] and not queue["draining"]
    )
