"""Where counters are kept for the next owner: the port, and the task that writes what has changed.

Writing is off the way of the decisions. A crash therefore forgets what was decided since the last write began, one trip
to Redis under load; so much more may be admitted in the windows of then.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from actors.rate_limiter.clock import Instant
from actors.rate_limiter.ledger import Earlier, Ledger, StoredValue, used_of
from actors.rate_limiter.window import Used
from kernel.growth import growing_s
from telemetry.log import get_logger

_MOST: Final = 1_000
_FIRST_S, _LONGEST_S = 0.2, 5.0
_log = get_logger("rate_limiter")


class CounterStore(Protocol):
    """Keeps numbers under keys for a while. Raises nothing."""

    async def read(self, keys: Sequence[str]) -> list[int] | None:
        """The numbers, 0 where there is none; None while it cannot be asked."""

    async def write(self, values: Sequence[StoredValue]) -> list[int] | None:
        """Replace what stands under each key by the value and what is aside; None if that is not sure.

        Returns:
            what was aside of each, in order.
        """

    async def aclose(self) -> None:
        """Close connections."""


class WriteBehind:
    """Writes what a ledger has changed, as soon as it has, and what changes meanwhile with the next write.

    While the store cannot be asked it goes on trying. Then it first reads what was there before counters that began
    without it, for a write would replace that.
    """

    def __init__(self, ledger: Ledger, store: CounterStore, now: Callable[[], Instant]) -> None:
        self._ledger, self._store, self._now = ledger, store, now
        self._changed, self._ending = asyncio.Event(), asyncio.Event()
        self._failures_in_a_row = 0
        self.counters: Counter[str] = Counter()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def changed(self) -> None:
        """The ledger may have something to write."""
        self._changed.set()

    async def stop(self, limit_s: float) -> bool:
        """Write once more, and end. Returns whether all is written, which has to be within the limit."""
        self._ending.set()
        self._changed.set()
        # Not cancelled first, for a connection that is being made may swallow that, and a write has its own limit.
        done, _ = await asyncio.wait({self._task}, timeout=limit_s)
        if not done:
            self._task.cancel()
        return bool(done) and not self._ledger.unwritten

    async def _run(self) -> None:
        while not self._ending.is_set():
            await self._changed.wait()
            self._changed.clear()
            try:
                done = await self.flush()
            except Exception:  # noqa: BLE001 - a fault in it must not end the writing for good
                _log.exception("counters_not_written")
                done = False
            if done:
                self._failures_in_a_row = 0
                continue
            self._failures_in_a_row += 1
            self._changed.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(growing_s(self._failures_in_a_row, _FIRST_S, _LONGEST_S)):
                    await self._ending.wait()

    async def flush(self) -> bool:
        """Write all that has changed by now; False if that is not sure."""
        return await self._read_earlier() and await self._write()

    async def _read_earlier(self) -> bool:
        while found := self._ledger.earlier_unknown(_MOST, self._now()):
            values = await self.read(found)
            if values is None:
                return False
            self._ledger.add_earlier(dict(zip(found, values, strict=True)))
            self.counters["read_late"] += len(found)
        return True

    async def _write(self) -> bool:
        # No more than there is now: what changes while this writes has woken the next one.
        for _ in range(1 + self._ledger.unwritten // _MOST):
            pairs = self._ledger.take_unwritten(_MOST)
            if not pairs:
                break
            values = self._ledger.values(pairs, self._now())
            aside: list[int] | None = None
            try:
                aside = await self._store.write(values) if values else []
            finally:
                if aside is None:
                    self._ledger.still_unwritten(pairs)
            self.counters["failed_writes" if aside is None else "writes"] += 1
            if aside is None:
                return False
            self._ledger.hear(values, aside)
        return True

    async def read(self, wanted: Sequence[Earlier]) -> list[Used] | None:
        """What stands in the store for these counters; None while it cannot be asked."""
        values = await self._store.read([key for one in wanted for key in one.keys])
        if values is None:
            self.counters["failed_reads"] += 1
            return None
        return [used_of(values, at) for at in range(len(wanted))]
