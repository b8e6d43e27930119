"""A connection that goes back to the pool carries nothing of its last borrower's."""

from actors.shards.access import PoolLimits
from actors.shards.pool import ShardPools
from tests.contract.shards.calls import UNITS, run, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant

ONE = PoolLimits(app_connections=1)


def _unclean(pools: ShardPools) -> int:
    found = pools.statistics()[SHARD]["spaza_app"].get("unclean", 0)
    assert isinstance(found, int)
    return found


async def test_a_planted_session_level_tenant_is_caught_and_its_connection_thrown_away(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant, other = make_pools(UNITS, limits=ONE), await make_tenant(), await make_tenant()
    before = await value(pools, "backend", tenant)

    await run(pools, "script", tenant, f"SET app.current_tenant = '{other}'")

    assert _unclean(pools) == 1
    assert await value(pools, "backend", tenant) != before


async def test_a_leak_through_set_config_is_caught_too(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant, other = make_pools(UNITS, limits=ONE), await make_tenant(), await make_tenant()

    await run(pools, "statement", tenant, f"SELECT set_config('app.current_tenant', '{other}', false)")

    assert _unclean(pools) == 1


async def test_other_changes_of_the_session_are_undone_and_the_connection_kept(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools(UNITS, limits=ONE), await make_tenant()
    before = await value(pools, "backend", tenant)

    await value(pools, "script", tenant, "SET search_path = pg_catalog")
    await value(pools, "statement", tenant, "SELECT pg_advisory_lock(42)::text")

    assert await value(pools, "statement", tenant, "SELECT current_setting('search_path')") == [('"$user", public',)]
    assert await value(pools, "statement", tenant, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [
        (0,)
    ]
    assert await value(pools, "backend", tenant) == before
    assert _unclean(pools) == 0


async def test_temporary_tables_cannot_be_made(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS, limits=ONE), await make_tenant()

    assert (await run(pools, "script", tenant, "CREATE TEMP TABLE t (x int)")).error is not None
