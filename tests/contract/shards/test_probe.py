"""The probe of a shard: it finds out whether commits get through, and that is more than whether reads do."""

import asyncio

import pytest

from actors.shards.errors import CommitUnknownError
from actors.shards.probe import PROBE
from actors.shards.unit import UnitCall
from tests.contract.shards.conftest import SHARD, MakePools, Shards

_CALL = UnitCall(PROBE, SHARD, "", None)


async def test_a_shard_that_commits_is_well(make_pools: MakePools) -> None:
    [outcome] = await make_pools({}).run([_CALL], 5.0)

    assert outcome.error is None


@pytest.mark.timeout(60)
async def test_a_shard_that_reads_and_does_not_commit_is_not_well(shards: Shards, make_pools: MakePools) -> None:
    pools = make_pools({})
    assert (await pools.run([_CALL], 5.0))[0].error is None
    owner = await shards.as_owner()
    try:
        await owner.execute("ALTER SYSTEM SET synchronous_standby_names = 'lost_standby'")
        await owner.execute("SELECT pg_reload_conf()")
        for _ in range(100):
            if await owner.fetchval("SHOW synchronous_standby_names"):
                break
            await asyncio.sleep(0.05)

        [outcome] = await pools.run([_CALL], 0.5)
    finally:
        await owner.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await owner.execute("SELECT pg_reload_conf()")
        await owner.close()

    assert isinstance(outcome.error, CommitUnknownError)
