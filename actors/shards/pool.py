"""The pools of the shards that one actor owns. Plain asyncio; knows nothing of Ray."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.errors import ShardUnavailableError, UnknownUnitError
from actors.shards.finding import Servers
from actors.shards.following import FIND_SHARDS, find_shards
from actors.shards.lane import Lane
from actors.shards.probe import PROBE, probe
from actors.shards.roles import APP_ROLE, SYSTEM_ROLE
from actors.shards.standby_reads import StandbyReads
from actors.shards.transaction import Publisher
from actors.shards.unit import UnitCall, UnitFunction, UnitOutcome
from actors.shards.waiting_unit import Outcomes, Runner, Work

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
        self._units: Mapping[str, UnitFunction] = {**units, PROBE: probe, FIND_SHARDS: find_shards}
        self._lanes: dict[tuple[int, bool], Lane] = {}
        for shard in shards:
            app = shard_dsn(access.dsn_template, shard, APP_ROLE, access.app_password)
            system = shard_dsn(access.dsn_template, shard, SYSTEM_ROLE, access.system_password)
            self._lanes[shard, True] = Lane(Servers(app), shard, limits.app_connections, limits, publisher)
            self._lanes[shard, False] = Lane(Servers(system), shard, limits.system_connections, limits, publisher)
        self._standbys = StandbyReads(access, self._on_primary)

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
        # By shard, role, and whether it may be a standby's.
        works: defaultdict[tuple[int, bool, bool], list[Work]] = defaultdict(list)
        for position, call in enumerate(calls):
            function, place = self._units.get(call.name), (call.shard, bool(call.tenant_id))
            stale = call.max_staleness_s is not None
            if function is None:
                outcomes[position] = UnitOutcome(None, (), UnknownUnitError(call.name))
            elif place not in self._lanes:
                outcomes[position] = UnitOutcome(None, (), ShardUnavailableError(call.shard, "it is another actor's"))
            else:
                works[*place, stale].append(Work(position, call, function))
        if len(works) == 1:
            # A task for it would cost more than the rest of this.
            (((shard, for_tenants, stale), wanted),) = works.items()
            await self._runner(shard, for_tenants, stale)(wanted, deadline, outcomes)
        elif works:
            async with asyncio.TaskGroup() as group:
                for (shard, for_tenants, stale), wanted in works.items():
                    group.create_task(self._runner(shard, for_tenants, stale)(wanted, deadline, outcomes))
        return [outcomes[position] for position in range(len(calls))]

    def _runner(self, shard: int, for_tenants: bool, stale: bool) -> Runner:
        return self._standbys.run if stale else self._lanes[shard, for_tenants].run

    async def _on_primary(self, works: Sequence[Work], deadline: float, outcomes: Outcomes) -> None:
        call = works[0].call
        await self._lanes[call.shard, bool(call.tenant_id)].run(works, deadline, outcomes)

    async def aclose(self) -> None:
        """Close all connections."""
        await asyncio.gather(self._standbys.aclose(_CLOSE_S), *(lane.aclose(_CLOSE_S) for lane in self._lanes.values()))

    def statistics(self) -> Mapping[int, Mapping[str, Any]]:
        """Figures by shard and role, see ``Lane.statistics``."""
        figures: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        for (shard, for_tenants), lane in self._lanes.items():
            figures[shard][APP_ROLE if for_tenants else SYSTEM_ROLE] = lane.statistics()
        for (shard, role), of_standby in self._standbys.statistics().items():
            figures[shard][role] = of_standby
        return dict(figures)
