"""The rate limiter actor: the one owner of some tenants' counters. Thin; ``owner.py`` does what it does."""

import asyncio
import pickle
from collections.abc import Callable, Sequence
from typing import Any, Final

from actors.doors.doors import Address, Doorway
from actors.rate_limiter.decision import Limits
from actors.rate_limiter.figures import Figures
from actors.rate_limiter.ledger import Check
from actors.rate_limiter.owner import Owner
from actors.rate_limiter.store import CounterStore
from kernel.garbage import spare_what_stays
from telemetry.log import configure_logging, get_logger
from telemetry.observing import failing_open

_REPORT_S: Final = 2.0
# What of a check goes over the wire, and what of the answer.
WireCheck = tuple[str, str, int, int, int, bool]
WireAnswer = tuple[float, float, list[tuple[int, int, int]]]
_log = get_logger("rate_limiter")


class RateLimiterActor:
    """Counts for the tenants that fall to it, alone, so that its counts are exact.

    What survives a crash is what was written to Redis, one trip behind; the next one reads a tenant's counters from
    there before it decides for it. While Redis is away it counts in memory alone, and adds what stands there as soon as
    it can.
    """

    async def __init__(  # type: ignore[misc]  # Ray awaits it
        self,
        number: int,
        limiters: int,
        store: Callable[[], CounterStore],
        log_level: str = "INFO",
        deployed_as: str = "",
    ) -> None:
        """Begin with nothing in memory.

        Args:
            number: of this one.
            limiters: how many there are.
            store: makes the store of the counters, in this process.
            log_level: of this process.
            deployed_as: name of these settings and of the code.
        """
        configure_logging(log_level)
        self._number, self._deployed_as = number, deployed_as
        self._owner, self._figures = Owner(limiters, store()), Figures()
        self._doorway = Doorway(self._knocked)
        self._door = await self._doorway.open()
        self._reporting = asyncio.get_running_loop().create_task(self._report())
        spare_what_stays()
        _log.info("rate_limiter_started", number=number, limiters=limiters)

    async def check(self, packed: bytes, limiters: int) -> bytes | None:
        """Decide a batch.

        Args:
            packed: pickled checks, as ``WireCheck``; the cheapest way through Ray.
            limiters: how many the caller thinks that there are.

        Returns:
            pickled ``WireAnswer``: seconds until the minute and the hour end, and a verdict for each check in order;
            None where this one decides nothing any more, or the caller thinks wrongly.
        """
        wire: Sequence[WireCheck] = pickle.loads(packed)  # noqa: S301 - comes from our own handle
        checks = [Check(one[0], one[1], Limits(one[2], one[3]), one[4], one[5]) for one in wire]
        decided = await self._owner.decide(checks, limiters)
        if decided is None:
            return None
        answer: WireAnswer = (*decided.resets, [(one[0], one[1], one[2]) for one in decided.verdicts])
        return pickle.dumps(answer, protocol=5)

    async def door(self) -> Address:
        """Where callers on the same machine may ask ``check``, which costs less than through Ray."""
        return self._door

    async def ping(self) -> None:
        """Answer."""

    async def deployed(self) -> str:
        """With which settings and code it was started, see ``actors.redeploy``."""
        return self._deployed_as

    async def statistics(self) -> dict[str, Any]:
        """See ``Owner.statistics``."""
        return self._owner.statistics()

    async def stop(self) -> None:
        """Decide nothing more, and write what is unwritten, before the actor is ended."""
        self._reporting.cancel()
        await self._owner.stop()
        self._doorway.close()

    async def _knocked(self, content: bytes) -> bytes | None:
        packed, limiters = pickle.loads(content)  # noqa: S301 - comes from our own handle
        return await self.check(packed, limiters)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_S)
            with failing_open(_log):
                self._owner.sweep()
                self._figures.report(self._number, self._owner.figures(), self._owner.by_route)
