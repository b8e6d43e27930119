"""Locks that a unit's call names are held before its first statement, in time or not at all."""

import asyncio
import time
from typing import Any

from actors.shards.access import PoolLimits
from actors.shards.errors import UnitFailedError, UnitTimeoutError
from actors.shards.unit import Transaction, UnitCall
from tests.contract.shards.calls import PATIENCE_S, UNITS, add, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant, Shards

# Then the server itself gives up, which is not to be waited for.
_GIVES_UP_S = 10.0
HELD_BY = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = "
HELD = HELD_BY + "pg_backend_pid()"


async def test_the_first_statement_sees_what_the_lock_was_waited_for(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(transaction: Transaction, sku: str) -> None:
        await add(transaction, sku)
        begun.set()
        await go_on.wait()

    # Three of them for one tenant.
    pools, tenant = make_pools({**UNITS, "hold": hold}, limits=PoolLimits(app_connections=6)), await make_tenant()
    first = asyncio.create_task(pools.run([UnitCall("hold", SHARD, tenant, "bread", (5, 9))], PATIENCE_S))
    await begun.wait()
    second = asyncio.create_task(pools.run([UnitCall("skus", SHARD, tenant, None, (-7, 9))], PATIENCE_S))
    free = await pools.run([UnitCall("add", SHARD, tenant, "milk", (8,))], PATIENCE_S)
    assert not second.done()
    go_on.set()

    assert (await first)[0].error is None
    assert (await second)[0].value == ["bread", "milk"]
    assert free[0].error is None


async def test_a_lock_that_does_not_come_in_time_leaves_a_connection_that_can_be_used(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards
) -> None:
    pools, tenant = make_pools(UNITS, limits=PoolLimits(app_connections=1, rollback_s=PATIENCE_S)), await make_tenant()
    before = await value(pools, "backend", tenant)
    owner = await shards.as_owner()
    try:
        await owner.execute("SELECT pg_advisory_lock(9)")
        started = time.monotonic()

        (outcome,) = await pools.run([UnitCall("add", SHARD, tenant, "bread", (1, 9))], 1.0)

        assert isinstance(outcome.error, UnitTimeoutError)
        assert time.monotonic() - started < _GIVES_UP_S
        assert await owner.fetchval(f"{HELD_BY} {before}") == 0
    finally:
        await owner.close()
    (outcome,) = await pools.run([UnitCall("skus", SHARD, tenant, None, (1, 9))], PATIENCE_S)
    assert outcome.value == []
    assert await value(pools, "backend", tenant) == before
    assert pools.statistics()[SHARD]["spaza_app"].get("unclean", 0) == 0


async def test_locks_end_with_their_transaction_however_many(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS, limits=PoolLimits(app_connections=1)), await make_tenant()
    many = tuple(range(-1_250, 1_250))

    held, failed = await pools.run(
        [
            UnitCall("statement", SHARD, tenant, HELD, many),
            UnitCall("statement", SHARD, tenant, "SELECT 1/0", many),
        ],
        PATIENCE_S,
    )

    assert held.value == [(2_500,)]
    assert isinstance(failed.error, UnitFailedError)
    assert await value(pools, "statement", tenant, HELD) == [(0,)]


async def test_a_system_unit_can_hold_locks_too(make_pools: MakePools) -> None:
    (outcome,) = await make_pools(UNITS).run([UnitCall("statement", SHARD, "", HELD, (3, 4))], PATIENCE_S)

    assert outcome.value == [(2,)]


async def test_units_that_name_the_same_locks_in_any_order_wait_and_do_not_block_each_other(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    runs = 0

    async def counted(transaction: Transaction, _arguments: Any) -> None:
        nonlocal runs
        runs += 1
        await transaction.execute("SELECT 1")

    pools, tenant = make_pools({"counted": counted}), await make_tenant()
    orders = [(1, 2, 3, 4), (4, 3, 2, 1), (2, 4, 1, 3)] * 10

    outcomes = await pools.run([UnitCall("counted", SHARD, tenant, None, order) for order in orders], PATIENCE_S)

    assert [outcome.error for outcome in outcomes] == [None] * 30
    assert runs == 30
    assert pools.statistics()[SHARD]["spaza_app"].get("retried", 0) == 0


async def test_a_key_that_is_none_is_refused_and_nothing_is_run(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS), await make_tenant()
    wrong: Any = ("0); DROP TABLE spaza.journal; --",)

    (outcome,) = await pools.run([UnitCall("add", SHARD, tenant, "bread", wrong)], PATIENCE_S)

    assert isinstance(outcome.error, UnitFailedError)
    assert await value(pools, "skus", tenant) == []
