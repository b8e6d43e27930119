"""Which shards commit, asked of every one of them at once."""

from collections.abc import Mapping
from typing import Protocol

from actors.shards.placement import SHARDS
from actors.shards.probe import PROBE
from actors.shards.unit import UnitCall, UnitOutcome


class ProbedShards(Protocol):
    """The shards, for who wants to know whether they commit."""

    async def run(self, calls: list[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        """An outcome for each call."""


async def silent_shards(shards: ProbedShards, timeout_s: float) -> Mapping[int, str]:
    """Have each shard commit.

    Args:
        shards: run the units.
        timeout_s: who has not committed by then does not.

    Returns:
        the shards that do not, each with what its unit failed of.
    """
    calls = [UnitCall(PROBE, shard, "", None) for shard in range(SHARDS)]
    outcomes = await shards.run(calls, timeout_s=timeout_s)
    return {
        call.shard: type(outcome.error).__name__
        for call, outcome in zip(calls, outcomes, strict=True)
        if outcome.error is not None
    }


def in_words(silent: Mapping[int, str]) -> str:
    """Those shards, and what the first of them failed of; empty where there are none."""
    if not silent:
        return ""
    if len(silent) == SHARDS:
        return f"none commits: {silent[min(silent)]}"
    named = ", ".join(f"{shard:02d}" for shard in sorted(silent))
    return f"{named} {'does' if len(silent) == 1 else 'do'} not commit: {silent[min(silent)]}"
