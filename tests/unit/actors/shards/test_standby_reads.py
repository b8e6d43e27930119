"""Reads that may be stale ask the primary where it is once for all of them, and wait for that within their time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from actors.shards.access import ShardAccess
from actors.shards.errors import ShardUnavailableError
from actors.shards.standby_reads import MARK, StandbyReads
from actors.shards.unit import Transaction, UnitCall, UnitOutcome
from actors.shards.waiting_unit import Outcomes, Work


class Primary:
    """Refuses every unit, or never ends one that asks where it is."""

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs
        self.asked: Counter[str] = Counter()

    async def __call__(self, works: Sequence[Work], deadline: float, outcomes: Outcomes) -> None:
        for work in works:
            self.asked[work.call.name] += 1
            if self._hangs and work.call.name == MARK:
                await asyncio.Event().wait()
            outcomes[work.position] = UnitOutcome(None, (), ShardUnavailableError(work.call.shard, "away"))


async def _read(_transaction: Transaction, _arguments: Any) -> None:
    """It is not run here."""


def _works(*staleness_s: float) -> list[Work]:
    return [
        Work(place, UnitCall("read", 0, "", None, max_staleness_s=one), _read) for place, one in enumerate(staleness_s)
    ]


async def _run(primary: Primary, works: Sequence[Work], within_s: float) -> Outcomes:
    outcomes: Outcomes = {}
    reads = StandbyReads(ShardAccess("postgresql://a:1,b:1/shard_{shard}", "p", "p"), primary)
    await reads.run(works, asyncio.get_running_loop().time() + within_s, outcomes)
    await reads.aclose(0.0)
    return outcomes


async def test_many_reads_of_a_call_ask_the_primary_once_and_go_there_where_it_does_not_say() -> None:
    primary = Primary()

    outcomes = await _run(primary, _works(5.0, 1.0, 30.0, 5.0), 5.0)

    assert primary.asked == {MARK: 1, "read": 4}
    assert len(outcomes) == 4


async def test_a_primary_that_does_not_say_where_it_is_is_not_waited_for_beyond_the_calls_time() -> None:
    primary = Primary(hangs=True)

    outcomes = await asyncio.wait_for(_run(primary, _works(*[5.0] * 8), 0.0), 60.0)

    assert primary.asked["read"] == 8
    assert primary.asked[MARK] <= 1
    assert len(outcomes) == 8
