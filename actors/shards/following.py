"""Units whose tenant has moved go after it: its placement is looked up, and they are run where it is."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from actors.shards.errors import TenantMovedError
from actors.shards.placement import shard_of
from actors.shards.unit import Transaction, UnitCall, UnitOutcome
from kernel.growth import growing_s
from kernel.sql import load_queries

FIND_SHARDS: Final = "shards.placements"
_SQL = load_queries(Path(__file__).with_name("placements.sql"))
RunOnce = Callable[[Sequence[UnitCall], float], Awaitable[list[UnitOutcome]]]


class FollowingPolicy(NamedTuple):
    """How long units wait for a tenant that is just being moved; others of their call wait with them.

    Attributes:
        patience_s: about the longest time for which a tenant's writes are fenced; then who called may come again.
        first_s: before the second look; grows up to ``longest_s``.
        longest_s: between two looks.
    """

    patience_s: float = 0.6
    first_s: float = 0.01
    longest_s: float = 0.08


async def find_shards(transaction: Transaction, tenant_ids: list[str]) -> dict[str, int]:
    """Where those of these tenants live that are placed on this shard; a system unit."""
    rows = await transaction.fetch(_SQL["find"], tenant_ids)
    return {row["tenant_id"]: row["shard"] for row in rows}


def has_moved(outcome: UnitOutcome) -> bool:
    """Whether a unit was refused because its tenant is not on that shard."""
    return isinstance(outcome.error, TenantMovedError)


class Following:
    """Runs units again whose tenant was not where they looked for it.

    A unit that was refused left nothing, so it can be run anew. Where the placement still says what was refused, the
    tenant is fenced for the last moments of its move, and the unit waits.
    """

    def __init__(self, run: RunOnce, policy: FollowingPolicy | None = None) -> None:
        """Take what runs units once."""
        self._run = run
        self._policy = FollowingPolicy() if policy is None else policy

    async def follow(
        self,
        calls: Sequence[UnitCall],
        outcomes: list[UnitOutcome],
        timeout_s: float,
        answered: Callable[[Sequence[UnitOutcome]], None] | None = None,
    ) -> None:
        """Put an outcome in place of each that says that the tenant has moved, as far as there is time.

        Args:
            calls: as they were made.
            outcomes: theirs, in order; changed here.
            timeout_s: what is left for them.
            answered: called with the outcomes of those that were run again.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        patience = min(deadline, loop.time() + self._policy.patience_s)
        looks = 0
        while late := [at for at, outcome in enumerate(outcomes) if has_moved(outcome)]:
            if looks and loop.time() >= patience:
                return
            found = await self._find({calls[at].tenant_id for at in late}, deadline - loop.time())
            again = {at: self._there(calls[at], found) for at in late if calls[at].tenant_id in found}
            if not again or loop.time() >= deadline:
                return
            answers = await self._run(list(again.values()), deadline - loop.time())
            for at, outcome in zip(again, answers, strict=True):
                outcomes[at] = outcome
            if answered is not None:
                answered(answers)
            looks += 1
            if any(has_moved(outcome) for outcome in answers):
                await asyncio.sleep(growing_s(looks, self._policy.first_s, self._policy.longest_s))

    async def _find(self, tenant_ids: set[str], timeout_s: float) -> Mapping[str, int]:
        by_shard: defaultdict[int, list[str]] = defaultdict(list)
        for tenant_id in tenant_ids:
            by_shard[shard_of(tenant_id)].append(tenant_id)
        calls = [UnitCall(FIND_SHARDS, shard, "", asked) for shard, asked in by_shard.items()]
        found: dict[str, int] = {}
        for outcome in await self._run(calls, max(0.0, timeout_s)):
            if outcome.error is None:
                found.update(outcome.value)
        return found

    @staticmethod
    def _there(call: UnitCall, found: Mapping[str, int]) -> UnitCall:
        return call._replace(shard=found[call.tenant_id])
