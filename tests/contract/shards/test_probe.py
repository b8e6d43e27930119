"""The probe of a shard: it finds out whether commits get through, and that is more than whether reads do."""

from actors.shards.errors import CommitUnknownError
from actors.shards.probe import PROBE
from actors.shards.unit import UnitCall
from tests.contract.shards.calls import PATIENCE_S
from tests.contract.shards.conftest import SHARD, MakePools, Shards
from tests.contract.shards.lost_standby import a_standby_that_is_not_there

_CALL = UnitCall(PROBE, SHARD, "", None)


async def test_a_shard_that_commits_is_well(make_pools: MakePools) -> None:
    [outcome] = await make_pools({}).run([_CALL], PATIENCE_S)

    assert outcome.error is None


async def test_a_shard_that_reads_and_does_not_commit_is_not_well(shards: Shards, make_pools: MakePools) -> None:
    pools = make_pools({})
    assert (await pools.run([_CALL], PATIENCE_S))[0].error is None

    async with a_standby_that_is_not_there(shards):
        [outcome] = await pools.run([_CALL], 1.0)

    assert isinstance(outcome.error, CommitUnknownError)
