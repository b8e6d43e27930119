"""Keeps one part of an instance running: starts it, waits for its end, and starts it again.

A first start that fails is the instance's failure. After that nothing that goes wrong with a part ends the others: a
full disk or a lack of processes passes, and the part is started again, after a pause that grows while it fails.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from cluster.backoff import Backoff
from cluster.errors import ClusterError
from cluster.exits import how_it_ended
from cluster.parts import Part

_WATCH_S = 0.2


class Observer(Protocol):
    """Who is told how a part fares."""

    def part_runs(self, part: Part, seconds: float, detail: str) -> None:
        """It has started, in so many seconds."""

    def part_failed(self, part: Part, reason: str) -> None:
        """It could not be started again; that is tried again."""

    async def part_ended(self, part: Part, how: str) -> None:
        """It has ended; it is started again."""

    async def clear(self, part: Part) -> None:
        """End what is left of it, before it is started again."""


class Tending:
    """One part's life. ``run`` does not return for a part that has a process."""

    def __init__(
        self, part: Part, observer: Observer, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._part, self._observer, self._pause = part, observer, pause
        self._has_run = False

    async def run(self) -> None:
        """Start it, and go on starting it.

        Raises:
            Exception: what its first start raised.
        """
        backoff, pause_s = Backoff(), None
        while True:
            started = time.monotonic()
            try:
                if pause_s is not None:
                    await self._observer.clear(self._part)
                    await self._pause(pause_s)
                    started = time.monotonic()
                await self._live()
                if self._part.process is None:
                    return
                ran_s = time.monotonic() - started
            except Exception as error:
                if not self._has_run:
                    raise
                self._observer.part_failed(self._part, _in_words(self._part, error))
                ran_s = 0.0
            pause_s = backoff.after(ran_s)

    async def _live(self) -> None:
        """From its start to its end."""
        started = time.monotonic()
        detail = await self._part.start()
        self._has_run = True
        self._observer.part_runs(self._part, time.monotonic() - started, detail)
        process = self._part.process
        if process is None:
            return
        while process.poll() is None:
            await self._pause(_WATCH_S)
        await self._observer.part_ended(self._part, how_it_ended(process.returncode))


def _in_words(part: Part, error: Exception) -> str:
    # Ours name themselves and the remedy; any other is of the system, and passes or is told to its last word.
    return str(error) if isinstance(error, ClusterError) else f"{part.name} could not be started again: {error!r}"
