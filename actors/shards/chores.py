"""What is to be done on every shard from time to time, such as letting go of what is old: system units of work."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from actors.shards.unit import UnitCall, UnitOutcome
from telemetry.log import get_logger

_EVERY_S, _AGAIN_S = 6 * 3_600.0, 60.0
# So that the connections which it opens do not slow down a start.
_FIRST_S = 5.0
_LIMIT_S = 30.0
_log = get_logger("shards")


class Chores:
    """Runs some units on some shards, one shard after the other, for they may hold up its other units for a moment.

    A chore finds out itself what there is to do: it may run too often, and at several places at once.

    Args:
        run: runs units, within so many seconds.
        shards: on which.
        names: of the units, which take no arguments.
    """

    def __init__(
        self,
        run: Callable[[Sequence[UnitCall], float], Awaitable[Sequence[UnitOutcome]]],
        shards: Collection[int],
        names: Collection[str],
    ) -> None:
        self._run, self._shards, self._names = run, shards, names

    async def run(self) -> None:
        """At the start and every six hours, sooner after a failure; until cancelled."""
        if not self._names:
            return
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                well = await self.once()
            except Exception:  # noqa: BLE001 - whatever it was, it is to be done later
                _log.exception("chores_raised")
                well = False
            await asyncio.sleep(_EVERY_S if well else _AGAIN_S)

    async def once(self) -> bool:
        """Do all of it now; say whether it could be done everywhere."""
        well = True
        for shard in self._shards:
            calls = [UnitCall(name, shard, "", None) for name in self._names]
            for call, outcome in zip(calls, await self._run(calls, _LIMIT_S), strict=True):
                if outcome.error is not None:
                    well = False
                    _log.warning("chore_failed", unit=call.name, shard=shard, error=str(outcome.error))
        return well
