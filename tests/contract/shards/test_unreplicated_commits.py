"""A commit that waits for standbys, and whose wait is cut short, is not known to last, whatever the server answers."""

import asyncio
import datetime as dt
from typing import Any

import pytest

from actors.mailbox.connections import Connections
from actors.replicated_commits import UnreplicatedCommitError
from actors.shards.access import PoolLimits
from actors.shards.dsn import shard_dsn
from actors.shards.errors import CommitUnknownError, OverloadedError
from actors.shards.unit import UnitCall
from tests.contract.shards.calls import PATIENCE_S, UNITS, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant, Shards
from tests.contract.shards.lost_standby import COMMIT, a_standby_that_is_not_there

_CANCEL = """
    SELECT query_start, pg_cancel_backend(pid) FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND application_name = $1 AND datname = $2 AND query_start > $3
"""
_POLL_S = 0.02


async def _cancel(operator: Any, application: str, *, times: int) -> None:
    """Cancel so many waits, each of them once: a second time would meet what comes after it."""
    last = dt.datetime.min.replace(tzinfo=dt.UTC)
    for _ in range(times):
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await operator.fetch(_CANCEL, application, f"shard_{SHARD:02d}", last)):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(_POLL_S)
        last = max(row["query_start"] for row in found)


async def test_a_unit_whose_wait_was_cancelled_is_unknown_and_so_is_one_that_another_follows(
    shards: Shards, make_tenant: MakeTenant, make_pools: MakePools
) -> None:
    tenant, pools = await make_tenant(), make_pools(UNITS)
    calls = [UnitCall("add", SHARD, tenant, f"sku-{number}") for number in range(2)]

    async with a_standby_that_is_not_there(shards) as operator:
        cancelling = asyncio.create_task(_cancel(operator, "spaza shards", times=2))
        outcomes = await pools.run(calls, PATIENCE_S)
        await cancelling

    assert [type(outcome.error) for outcome in outcomes] == [CommitUnknownError] * 2


async def test_who_waits_behind_a_commit_is_told_by_its_own_deadline(
    shards: Shards, make_tenant: MakeTenant, make_pools: MakePools
) -> None:
    tenant, pools = await make_tenant(), make_pools(UNITS, limits=PoolLimits(app_connections=1))
    patient, hasty = (UnitCall("add", SHARD, tenant, sku) for sku in ("patient", "hasty"))
    assert await value(pools, "skus", tenant) == []

    async with a_standby_that_is_not_there(shards) as operator:
        waiting = asyncio.create_task(pools.run([patient], PATIENCE_S))
        await asyncio.sleep(0)
        [behind] = await pools.run([hasty], 0.5)
        assert not waiting.done()
        await _cancel(operator, "spaza shards", times=1)
        [before] = await waiting

    assert isinstance(before.error, CommitUnknownError)
    assert isinstance(behind.error, OverloadedError)
    assert await value(pools, "skus", tenant) == ["patient"]


async def test_a_journals_write_whose_wait_was_cancelled_is_in_doubt(shards: Shards) -> None:
    connections = Connections(shard_dsn(shards.dsn, SHARD), 1)

    async with a_standby_that_is_not_there(shards) as operator:
        cancelling = asyncio.create_task(_cancel(operator, "spaza-mailbox", times=1))
        with pytest.raises(UnreplicatedCommitError):
            async with connections.lend(PATIENCE_S) as connection:
                await connection.execute(COMMIT)
        await cancelling

    await connections.aclose()
