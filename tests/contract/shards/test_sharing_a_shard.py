"""A shard's connections are shared: fairly among tenants, within bounds, and none is kept longer than it is needed."""

import asyncio
import time
from typing import Any

import pytest

from actors.shards.access import PoolLimits
from actors.shards.errors import OverloadedError, UnitTimeoutError
from actors.shards.pool import ShardPools
from actors.shards.unit import Transaction, UnitCall
from tests.contract.shards.calls import UNITS, run, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant, Shards


def _figures(pools: ShardPools) -> dict[str, Any]:
    return dict(pools.statistics()[SHARD]["spaza_app"])


async def _until(condition: Any, patience_s: float = 5.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("connections", [1, 4])
async def test_a_flood_of_one_tenant_in_many_calls_delays_anothers_unit_by_no_more_than_a_few_of_its_own(
    make_pools: MakePools, make_tenant: MakeTenant, connections: int
) -> None:
    pools = make_pools(UNITS, limits=PoolLimits(app_connections=connections))
    flooding, quiet = await make_tenant(), await make_tenant()
    await value(pools, "skus", quiet)
    nap = "SELECT pg_sleep(0.02)"
    flood = [asyncio.create_task(pools.run([UnitCall("script", SHARD, flooding, nap)] * 25, 30.0)) for _ in range(16)]
    await asyncio.sleep(0.3)
    waits = []
    for _ in range(5):
        started = time.monotonic()
        await value(pools, "skus", quiet)
        waits.append(time.monotonic() - started)
        assert _figures(pools)["pending"] > 0
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)

    # Behind the flood it would have been 400 x 20 ms over the connections, two seconds at least.
    assert sorted(waits)[2] < 0.25


async def test_a_flood_within_one_call_does_not_hold_up_the_other_tenants_of_that_call(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    ended: list[str] = []

    async def note(transaction: Transaction, name: str) -> None:
        await transaction.execute("SELECT pg_sleep(0.005)")
        ended.append(name)

    pools = make_pools({"note": note}, limits=PoolLimits(app_connections=1))
    flooding, quiet = await make_tenant(), await make_tenant()
    calls = [UnitCall("note", SHARD, flooding, "flood")] * 60 + [UnitCall("note", SHARD, quiet, "quiet")]

    outcomes = await pools.run(calls, 10.0)

    assert all(outcome.error is None for outcome in outcomes)
    assert ended.index("quiet") <= 2


async def test_one_tenant_cannot_fill_the_room_of_all(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools = make_pools(UNITS, limits=PoolLimits(app_connections=2, waiting=20))
    flooding, quiet = await make_tenant(), await make_tenant()
    flood = asyncio.create_task(pools.run([UnitCall("script", SHARD, flooding, "SELECT pg_sleep(0.05)")] * 40, 10.0))
    await asyncio.sleep(0.05)

    assert (await run(pools, "skus", quiet)).error is None
    refused = [outcome for outcome in await flood if isinstance(outcome.error, OverloadedError)]
    assert len(refused) == 30


async def test_who_comes_back_after_the_time_that_was_named_is_taken(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools(UNITS, limits=PoolLimits(app_connections=2, waiting=16)), await make_tenant()
    nap = UnitCall("script", SHARD, tenant, "SELECT pg_sleep(0.1)")
    await pools.run([nap] * 8, 10.0)
    flood = asyncio.create_task(pools.run([nap] * 8, 10.0))
    await asyncio.sleep(0.15)

    refused = [one for one in await pools.run([nap] * 4, 10.0) if isinstance(one.error, OverloadedError)]
    assert refused
    last = refused[-1].error
    assert isinstance(last, OverloadedError)
    assert 0.1 <= last.retry_after_s <= 1.5
    await asyncio.sleep(last.retry_after_s)
    again = await pools.run([nap] * len(refused), 10.0)

    assert [one.error for one in again] == [None] * len(refused)
    await flood


async def test_a_unit_that_still_waits_at_the_deadline_is_given_up_and_was_not_tried(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant, other = (
        make_pools(UNITS, limits=PoolLimits(app_connections=1)),
        await make_tenant(),
        await make_tenant(),
    )
    busy = asyncio.create_task(pools.run([UnitCall("script", SHARD, tenant, "SELECT pg_sleep(1)")], 5.0))
    await asyncio.sleep(0.3)
    started = time.monotonic()

    outcome = await run(pools, "add", other, "late", timeout_s=0.2)

    assert time.monotonic() - started < 0.5
    assert isinstance(outcome.error, OverloadedError)
    await busy
    assert await value(pools, "skus", other) == []


async def test_who_waited_in_vain_is_told_to_wait_for_as_long_again(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools(UNITS, limits=PoolLimits(app_connections=1)), await make_tenant()
    nap = UnitCall("script", SHARD, tenant, "SELECT pg_sleep(0.1)")

    outcomes = await pools.run([nap] * 20, 0.85)

    told = [one.error.retry_after_s for one in outcomes if isinstance(one.error, OverloadedError)]
    assert told
    assert min(told) >= 0.8


async def test_a_unit_may_have_less_patience_than_its_call(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS), await make_tenant()
    nap = UnitCall("script", SHARD, tenant, "SELECT pg_sleep(0.6)")

    hasty, patient = await pools.run([nap._replace(timeout_s=0.2), nap], 5.0)

    assert isinstance(hasty.error, UnitTimeoutError)
    assert patient.error is None


async def test_nothing_is_opened_before_it_is_used_and_what_is_idle_is_closed_but_for_the_least(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    limits = PoolLimits(app_connections=4, min_idle=2, idle_s=0.3)
    pools, tenant = make_pools(UNITS, limits=limits), await make_tenant()
    assert _figures(pools)["connections"] == 0

    await value(pools, "skus", tenant)
    await _until(lambda: _figures(pools)["connections"] == 2)
    naps = [asyncio.create_task(run(pools, "script", tenant, "SELECT pg_sleep(0.2)")) for _ in range(3)]
    await asyncio.gather(*naps)
    most = _figures(pools)["connections"]
    await _until(lambda: _figures(pools)["connections"] == 2)
    await asyncio.sleep(0.5)

    assert most == 3
    assert (_figures(pools)["connections"], _figures(pools)["idle"]) == (2, 2)


async def test_the_least_is_kept_whatever_becomes_of_it(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards
) -> None:
    pools, tenant = make_pools(UNITS, limits=PoolLimits(min_idle=2)), await make_tenant()
    await value(pools, "skus", tenant)
    await _until(lambda: _figures(pools)["idle"] == 2)
    owner = await shards.as_owner()
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'spaza shards' AND datname = current_database()"
    )
    await owner.close()

    await _until(lambda: _figures(pools)["connections"] < 2)
    await _until(lambda: _figures(pools)["idle"] == 2)
    assert (await run(pools, "skus", tenant)).error is None


async def test_closing_lets_what_runs_end_and_refuses_what_comes(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools(UNITS), await make_tenant()
    running = asyncio.create_task(run(pools, "script", tenant, "SELECT pg_sleep(0.3)"))
    await asyncio.sleep(0.1)

    await pools.aclose()

    assert (await running).error is None
    assert (await run(pools, "skus", tenant)).error is not None
    assert _figures(pools)["connections"] == 0
