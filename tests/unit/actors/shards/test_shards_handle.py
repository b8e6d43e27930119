"""What the handle answers without asking an actor."""

import pytest

from actors.shards.errors import NoSuchShardError
from actors.shards.handle import ShardsHandle
from actors.shards.placement import SHARDS
from actors.shards.unit import UnitCall


@pytest.mark.parametrize("max_staleness_s", [None, 1.0])
async def test_units_for_shards_that_do_not_exist_have_that_as_their_outcome(max_staleness_s: float | None) -> None:
    calls = [UnitCall("any", shard, "", None, max_staleness_s=max_staleness_s) for shard in (SHARDS, -1)]

    outcomes = await ShardsHandle(16).run(calls, timeout_s=1.0)

    assert [str(outcome.error) for outcome in outcomes] == [
        "shard 32 does not exist; shards are 0 to 31",
        "shard -1 does not exist; shards are 0 to 31",
    ]
    assert all(isinstance(outcome.error, NoSuchShardError) for outcome in outcomes)
