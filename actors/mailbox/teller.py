"""Tells an owner of rows that were published with a change, so that it need not wait for its sweep.

Nothing depends on it: what is lost the sweep finds, and what comes before an earlier one is held back by the owner.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kernel.growth import growing_s
from telemetry.log import get_logger

Told = tuple[int, int, tuple[Any, ...]]  # partition, seq and the plain tuple of the message

_CALL_S = 2.0
_AGAIN_FIRST_S, _AGAIN_LONGEST_S = 0.05, 1.0
# By then the owner has swept several times, or was away and reads all anew.
_HELPS_S = 10.0
_log = get_logger("mailbox")


class Teller:
    """Coalesces what one owner is to be told while a call is under way.

    A call that failed is repeated with what came meanwhile behind it, for the owner has to look for whatever is missing
    before it. What is older than the owner's sweep needs is left to the sweep, and so is what comes while as much waits
    as may.

    Args:
        name: of the owner.
        call: tells it, with the Unix seconds when the oldest of the rows was given to be told.
        wall: Unix seconds.
        most: rows that may wait.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[Sequence[Told], float], Awaitable[None]],
        wall: Callable[[], float],
        most: int = 10_000,
    ) -> None:
        self._name, self._call, self._wall, self._most = name, call, wall, most
        self._untold: list[tuple[float, Told]] = []
        self._task: asyncio.Task[None] | None = None

    def tell(self, row: Told) -> None:
        """Tell it soon. Returns at once."""
        if len(self._untold) >= self._most:
            return
        self._untold.append((self._wall(), row))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        await asyncio.sleep(0)
        failures = 0
        while self._untold:
            rows = list(self._untold)
            try:
                async with asyncio.timeout(_CALL_S):
                    await self._call([row for _, row in rows], rows[0][0])
            except Exception as error:  # noqa: BLE001 - whatever it was, the rows are to be told
                failures += 1
                if failures == 1:
                    _log.warning("tell_failed", actor=self._name, rows=len(rows), error=type(error).__name__)
                delay_s = growing_s(failures, _AGAIN_FIRST_S, _AGAIN_LONGEST_S)
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, guards nothing
                since = self._wall() - _HELPS_S
                self._untold = [one for one in self._untold if one[0] >= since]
            else:
                failures = 0
                del self._untold[: len(rows)]
