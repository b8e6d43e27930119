"""The first 50 rows of all 32 shards: how much longer than the slowest of them takes the whole."""

import time
from typing import NamedTuple

from actors.shards.fan_out import FanOut
from actors.shards.handle import ShardsHandle
from actors.shards.placement import SHARDS
from benchmarks.units.functions import TIMES, TOP

LIMIT = 50
_TIMEOUT_S = 10.0


class Asked(NamedTuple):
    """One question, in milliseconds from when it was asked.

    Attributes:
        slowest_ms: until the last shard had its rows, in its actor.
        whole_ms: until the merged page was here.
        alone_ms: for the same of one shard alone, asked before.
    """

    slowest_ms: float
    whole_ms: float
    alone_ms: float


async def ask(handle: ShardsHandle, times: int) -> list[Asked]:
    """Ask so many times, after some that do not count."""
    everywhere, one = FanOut(handle), FanOut(handle, of=(SHARDS - 1,))
    asked: list[Asked] = []
    for number in range(times + 5):
        begun = time.monotonic()
        await one.page(TOP, limit=LIMIT, timeout_s=_TIMEOUT_S)
        alone = time.monotonic() - begun
        begun = time.monotonic()
        page = await everywhere.page(TOP, limit=LIMIT, timeout_s=_TIMEOUT_S)
        whole = time.monotonic() - begun
        assert len(page.rows) == LIMIT
        there = await everywhere.each(TIMES, None, timeout_s=_TIMEOUT_S)
        slowest = max(there.values.values()) - begun
        if number >= 5:
            asked.append(Asked(slowest * 1000, whole * 1000, alone * 1000))
    return asked
