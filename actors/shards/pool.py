"""The pools of the shards that one actor owns. Plain asyncio; knows nothing of Ray."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.errors import ShardUnavailableError, UnknownUnitError
from actors.shards.lane import Lane
from actors.shards.probe import PROBE, probe
from actors.shards.roles import APP_ROLE, SYSTEM_ROLE
from actors.shards.transaction import Publisher
from actors.shards.unit import UnitCall, UnitFunction, UnitOutcome
from actors.shards.waiting_unit import Outcomes, Work

_CLOSE_S = 3.0


class ShardPools:
    """Runs units of work on its shards: those with a tenant as ``spaza_app``, those without as ``spaza_system``.

    Each role of each shard has its own connections, so that neither a busy shard nor a busy tenant's units keep
    system units or other shards waiting. Nothing here survives a restart, and nothing needs to.
    """

    def __init__(
        self,
        access: ShardAccess,
        shards: Collection[int],
        units: Mapping[str, UnitFunction],
        publisher: Publisher | None = None,
    ) -> None:
        limits = access.limits
        self._units: Mapping[str, UnitFunction] = {**units, PROBE: probe}
        self._lanes: dict[tuple[int, bool], Lane] = {}
        for shard in shards:
            app = shard_dsn(access.dsn_template, shard, APP_ROLE, access.app_password)
            system = shard_dsn(access.dsn_template, shard, SYSTEM_ROLE, access.system_password)
            self._lanes[shard, True] = Lane(app, shard, limits.app_connections, limits, publisher)
            self._lanes[shard, False] = Lane(system, shard, limits.system_connections, limits, publisher)

    async def run(self, calls: Sequence[UnitCall], timeout_s: float) -> list[UnitOutcome]:
        """Run units, those of different shards and roles at once, and wait for all.

        Args:
            calls: for shards of ours.
            timeout_s: what has not committed by then is rolled back.

        Returns:
            An outcome for each call, in their order; errors stand inside.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        outcomes: Outcomes = {}
        works: defaultdict[tuple[int, bool], list[Work]] = defaultdict(list)
        for position, call in enumerate(calls):
            function, place = self._units.get(call.name), (call.shard, bool(call.tenant_id))
            if function is None:
                outcomes[position] = UnitOutcome(None, (), UnknownUnitError(call.name))
            elif place not in self._lanes:
                outcomes[position] = UnitOutcome(None, (), ShardUnavailableError(call.shard, "it is another actor's"))
            else:
                works[place].append(Work(position, call, function))
        if len(works) == 1:
            # A task for it would cost more than the rest of this.
            ((place, wanted),) = works.items()
            await self._lanes[place].run(wanted, deadline, outcomes)
        elif works:
            async with asyncio.TaskGroup() as group:
                for place, wanted in works.items():
                    group.create_task(self._lanes[place].run(wanted, deadline, outcomes))
        return [outcomes[position] for position in range(len(calls))]

    async def aclose(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(lane.aclose(_CLOSE_S) for lane in self._lanes.values()))

    def statistics(self) -> Mapping[int, Mapping[str, Any]]:
        """Figures by shard and role, see ``Lane.statistics``."""
        figures: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        for (shard, for_tenants), lane in self._lanes.items():
            figures[shard][APP_ROLE if for_tenants else SYSTEM_ROLE] = lane.statistics()
        return dict(figures)
