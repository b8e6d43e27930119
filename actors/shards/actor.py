"""The Ray shell around the pools of some shards. ``handle.py`` makes an actor of it and calls it."""

import asyncio
import importlib
import os
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.access import ShardAccess
from actors.shards.chores import Chores
from actors.shards.pool import ShardPools
from actors.shards.unit import UnitCall, UnitOutcome
from config.topology import Topology
from kernel.garbage import spare_what_stays
from telemetry.log import configure_logging, get_logger
from telemetry.metrics import Counter, Latency

_LAST_CALLS_S = 3.0


class ShardPoolActor:
    """Owns the connections to some shards and runs units of work beside them.

    Keeps no state but connections: after a restart by Ray they are opened again on first use. Calls interleave; the
    order of units is kept neither among calls nor within one. A crash rolls back what had not committed.
    """

    async def __init__(  # type: ignore[misc]  # noqa: PLR0917 - Ray awaits it
        self,
        access: ShardAccess,
        shards: tuple[int, ...],
        units: str,
        topology: Topology | None,
        chores: tuple[str, ...],
        log_level: str,
        deployed_as: str = "",
        niceness: int = 0,
    ) -> None:
        # Of this thread, in which everything happens.
        os.nice(niceness)
        configure_logging(log_level)
        self._deployed_as = deployed_as
        publisher = None if topology is None else TransactionalPublisher(topology)
        self._pools = ShardPools(access, shards, _imported(units), publisher)
        self._calls: set[asyncio.Task[Any]] = set()
        self._units_total = Counter("spaza_shard_units_total", "Units of work by how they ended", ("outcome",))
        self._call_ms = Latency("spaza_shard_call_ms", "From the arrival of a call's units to the last outcome")
        get_logger("shards").info("shard_pool_started", first=shards[0], last=shards[-1])
        self._chores = asyncio.get_running_loop().create_task(Chores(self._pools.run, shards, chores).run())
        spare_what_stays()

    async def run(self, calls: Sequence[UnitCall], timeout_s: float) -> list[UnitOutcome]:
        """See ``ShardPools.run``."""
        started = perf_counter()
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            outcomes = await self._pools.run(calls, timeout_s)
        finally:
            self._calls.discard(task)
        self._call_ms.observe_s(perf_counter() - started)
        self._count(outcomes)
        return outcomes

    async def statistics(self) -> Mapping[int, Mapping[str, Any]]:
        """See ``ShardPools.statistics``."""
        return self._pools.statistics()

    async def ping(self) -> bool:
        """Answers when the actor runs; reaches for no server."""
        return True

    async def deployed(self) -> str:
        """With which settings and code it was started, see ``actors.redeploy``."""
        return self._deployed_as

    async def stop(self) -> None:
        """Let calls that are under way end, for a while, and close all connections, before the actor is ended."""
        self._chores.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=_LAST_CALLS_S)
        await self._pools.aclose()

    def _count(self, outcomes: Sequence[UnitOutcome]) -> None:
        ends: dict[str, int] = {}
        for outcome in outcomes:
            end = "committed" if outcome.error is None else outcome.error.code
            ends[end] = ends.get(end, 0) + 1
        for end, number in ends.items():
            self._units_total.add(number, {"outcome": end})


def _imported(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
