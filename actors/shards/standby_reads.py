"""Units that only read, and may see what was a moment ago: on a standby that is fresh enough, else on the primary.

How fresh a standby is its own transaction finds out, as it begins: it has to have replayed a position that the primary
had at most so long ago. So the bound holds exactly, whatever happened to the standby since anybody looked.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.shards.access import ShardAccess
from actors.shards.dsn import server_of, shard_dsn, single_hosts
from actors.shards.errors import UnitFailedError
from actors.shards.finding import Servers
from actors.shards.freshness import Marks
from actors.shards.lane import Lane
from actors.shards.roles import APP_ROLE, SYSTEM_ROLE
from actors.shards.unit import Transaction, UnitCall, UnitOutcome
from actors.shards.waiting_unit import Outcomes, Runner, Work

MARK: Final = "shards.mark"
# For the question to the primary; and of what is left of a call's time, for waiting for it, and for the standby.
_MARK_LIMIT_S, _MARK_PART, _STANDBY_PART = 0.5, 0.5, 0.5
# Standbys that failed are left alone for so long.
_PAUSE_S = 1.0
_READ_ONLY = "25006"


async def mark(transaction: Transaction, _arguments: None) -> str:
    """The unit that asks the primary where it is."""
    return str((await transaction.fetchrow("SELECT pg_current_wal_flush_lsn()::text"))[0])


class StandbyReads:
    """Owns the connections to standbys, which are opened on first use. For one event loop."""

    def __init__(self, access: ShardAccess, on_primary: Runner) -> None:
        """Connect to nothing yet.

        Args:
            access: to the shards.
            on_primary: runs units on the primary, of one shard at a time.
        """
        self._access, self._on_primary = access, on_primary
        self._lanes: dict[tuple[int, bool], Lane] = {}
        # Shards on the same servers share what is known of those.
        self._marks: defaultdict[str, Marks] = defaultdict(Marks)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._pause_until: dict[str, float] = {}
        self._fallen_back = 0

    async def run(self, works: Sequence[Work], deadline: float, outcomes: Outcomes) -> None:
        """Run units of one shard and role; each has a ``max_staleness_s``."""
        server = self._server(works[0].call.shard)
        if server is not None and self._now() >= self._pause_until.get(server, 0.0):
            fresh = await self._with_positions(works, server, deadline)
            await self._on_standby([one for one in fresh if one.position_needed], server, deadline, outcomes)
        left = [work for work in works if not _is_settled(outcomes.get(work.position))]
        if left:
            self._fallen_back += len(left)
            for work in left:
                outcomes.pop(work.position, None)
            await self._on_primary(left, deadline, outcomes)

    async def aclose(self, timeout_s: float) -> None:
        """Close the connections."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*(lane.aclose(timeout_s) for lane in self._lanes.values()))

    def statistics(self) -> Mapping[tuple[int, str], Mapping[str, Any]]:
        """Figures by shard and role, see ``Lane.statistics``."""
        roles = {True: f"{APP_ROLE} standby", False: f"{SYSTEM_ROLE} standby"}
        return {(shard, roles[tenants]): lane.statistics() for (shard, tenants), lane in self._lanes.items()}

    @property
    def fallen_back(self) -> int:
        """Units that came to the primary after all."""
        return self._fallen_back

    async def _on_standby(self, works: Sequence[Work], server: str, deadline: float, outcomes: Outcomes) -> None:
        if not works:
            return
        now = self._now()
        lane = self._lane(works[0].call)
        await lane.run(works, now + max(0.0, deadline - now) * _STANDBY_PART, outcomes)
        errors = [outcomes[work.position].error for work in works]
        if all(error is not None and error.code == "shard_unavailable" for error in errors):
            self._pause_until[server] = self._now() + _PAUSE_S

    async def _with_positions(self, works: Sequence[Work], server: str, deadline: float) -> list[Work]:
        """With the position that a standby has to have replayed for each; without one where that cannot be said.

        The primary is asked once for all of them, and waited for in a part of their time.
        """
        marks, now = self._marks[server], self._now()
        strictest_s = min(_staleness_s(work) for work in works)
        if marks.due(now, strictest_s):
            asking = self._ask(works[0].call.shard, server)
            if marks.enough(now, strictest_s) is None:
                await asyncio.wait([asking], timeout=max(0.0, deadline - now) * _MARK_PART)
        now = self._now()
        return [work._replace(position_needed=marks.enough(now, _staleness_s(work))) for work in works]

    def _ask(self, shard: int, server: str) -> "asyncio.Task[None]":
        """Ask the primary where it is, once at a time for each."""
        asking = self._asking.get(server)
        if asking is None or asking.done():
            asking = asyncio.get_running_loop().create_task(self._ask_primary(shard, server))
            self._asking[server] = asking
        return asking

    async def _ask_primary(self, shard: int, server: str) -> None:
        asked_at, outcomes = self._now(), Outcomes()
        await self._on_primary([Work(0, UnitCall(MARK, shard, "", None), mark)], asked_at + _MARK_LIMIT_S, outcomes)
        if outcomes[0].error is None:
            self._marks[server].note(asked_at, outcomes[0].value)

    def _server(self, shard: int) -> str | None:
        """What tells its servers from others; None where there is one, and so no standby."""
        dsn = shard_dsn(self._access.dsn_template, shard)
        return server_of(dsn) if len(single_hosts(dsn)) > 1 else None

    def _lane(self, call: UnitCall) -> Lane:
        place = (call.shard, bool(call.tenant_id))
        if place not in self._lanes:
            access, limits = self._access, self._access.limits
            role, password, most = (
                (APP_ROLE, access.app_password, limits.app_connections)
                if call.tenant_id
                else (SYSTEM_ROLE, access.system_password, limits.system_connections)
            )
            dsn = shard_dsn(access.dsn_template, call.shard, role, password)
            servers = Servers(dsn, "standby", first=call.shard)
            # None is kept open for its own sake: where no standby is, nobody is to look for one all the time.
            self._lanes[place] = Lane(servers, call.shard, most, limits._replace(min_idle=0), None)
        return self._lanes[place]

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _staleness_s(work: Work) -> float:
    assert work.call.max_staleness_s is not None
    return work.call.max_staleness_s


def _is_settled(outcome: UnitOutcome | None) -> bool:
    """Whether the primary would say no other; that a unit writes is no matter of where it runs."""
    if outcome is None:
        return False
    return outcome.error is None or (
        isinstance(outcome.error, UnitFailedError) and outcome.error.sqlstate == _READ_ONLY
    )
