"""Units that follow each other on a connection share a round trip; each still ends as it would have alone."""

import asyncio
from typing import Any

import asyncpg
import pytest

from actors.shards.access import PoolLimits
from actors.shards.errors import CommitUnknownError, UnitFailedError, WrongTenantError
from actors.shards.pool import ShardPools
from actors.shards.session import ShardConnection
from actors.shards.unit import Transaction, UnitCall
from tests.contract.shards.calls import PATIENCE_S, PRODUCT, UNITS, add, run, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant, Shards

ONE = PoolLimits(app_connections=1)
_OURS = "FROM pg_stat_activity WHERE application_name = 'spaza shards' AND usename = 'spaza_app'"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the simple protocol that went over the wire."""
    texts: list[str] = []
    execute = ShardConnection.execute

    async def recorded(self: Any, query: str, *arguments: Any, **options: Any) -> str:
        if not arguments:
            texts.append(query)
        return str(await execute(self, query, *arguments, **options))

    monkeypatch.setattr(ShardConnection, "execute", recorded)
    return texts


async def _together(pools: ShardPools, *calls: tuple[str, str, Any]) -> list[Any]:
    return await pools.run([UnitCall(name, SHARD, tenant, given) for name, tenant, given in calls], PATIENCE_S)


async def test_many_units_on_a_connection_take_one_round_trip_less_each(
    make_pools: MakePools, make_tenant: MakeTenant, sent: list[str]
) -> None:
    pools, one, other = make_pools(UNITS, limits=ONE), await make_tenant(), await make_tenant()

    outcomes = await _together(pools, *(("add", tenant, f"{n}") for n in range(4) for tenant in (one, other)))

    assert all(outcome.error is None for outcome in outcomes)
    assert (sent[0].partition(";")[0], sent[-1]) == ("BEGIN", "COMMIT")
    assert [text.startswith("COMMIT; BEGIN; RESET ALL; SELECT set_config(") for text in sent[1:-1]] == [True] * 7
    for tenant in (one, other):
        assert await value(pools, "skus", tenant) == ["0", "1", "2", "3"]


async def test_each_of_them_is_in_its_own_tenants_context_and_sees_what_was_committed_before_it(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, one, other = make_pools(UNITS, limits=ONE), await make_tenant(), await make_tenant()

    outcomes = await _together(
        pools, ("add", one, "a"), ("skus", one, None), ("add", one, "b"), ("skus", one, None), ("skus", other, None)
    )

    assert [outcome.value for outcome in outcomes] == [None, ["a"], None, ["a", "b"], []]


async def test_a_refused_commit_harms_neither_who_came_before_nor_who_follows(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards, sent: list[str]
) -> None:
    pools, tenant = make_pools(UNITS, limits=ONE), await make_tenant()
    owner = await shards.as_owner()
    await owner.execute(
        f"ALTER TABLE tenant_{tenant}.product ADD CONSTRAINT late UNIQUE (name) DEFERRABLE INITIALLY DEFERRED"
    )
    await owner.close()
    twice = PRODUCT.replace("$1, $1", "$1, 'same'")

    async def collide(transaction: Transaction, _arguments: Any) -> None:
        for sku in ("x", "y"):
            await transaction.execute(twice, sku)

    pools = make_pools({**UNITS, "collide": collide}, limits=ONE)
    before, refused, after = await _together(
        pools, ("add", tenant, "before"), ("collide", tenant, None), ("add", tenant, "after")
    )

    assert (before.error, after.error) == (None, None)
    assert isinstance(refused.error, UnitFailedError)
    assert refused.error.sqlstate == "23505"
    assert await value(pools, "skus", tenant) == ["after", "before"]
    assert any(text.startswith("COMMIT; BEGIN") for text in sent)


async def test_a_unit_that_swallows_a_failed_statement_is_not_taken_for_committed_because_another_follows(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    async def swallow(transaction: Transaction, _arguments: Any) -> str:
        await add(transaction, "swallowed")
        try:
            await transaction.execute("SELECT 1/0")
        except asyncpg.PostgresError:
            return "fine"
        return ""

    pools, tenant = make_pools({**UNITS, "swallow": swallow}, limits=ONE), await make_tenant()

    outcomes = await _together(pools, ("add", tenant, "a"), ("swallow", tenant, None), ("add", tenant, "b"))

    assert [type(outcome.error) for outcome in outcomes] == [type(None), UnitFailedError, type(None)]
    assert await value(pools, "skus", tenant) == ["a", "b"]


async def test_what_cannot_begin_is_said_and_the_others_go_on(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS, limits=ONE), await make_tenant()

    outcomes = await _together(
        pools, ("add", tenant, "a"), ("add", "'; ROLLBACK; --", "b"), ("add", tenant, "c"), ("skus", tenant, None)
    )

    assert [type(outcome.error) for outcome in outcomes] == [type(None), WrongTenantError, type(None), type(None)]
    assert outcomes[-1].value == ["a", "c"]


async def test_a_unit_with_locks_that_are_held_keeps_nobodys_answer_waiting(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards
) -> None:
    pools, tenant, other = make_pools(UNITS, limits=ONE), await make_tenant(), await make_tenant()
    owner = await shards.as_owner()
    await owner.execute("SELECT pg_advisory_lock(77)")
    assert await value(pools, "skus", tenant) == []
    try:
        waits = UnitCall("add", SHARD, other, "locked", (77,))
        first, locked = await pools.run([UnitCall("add", SHARD, tenant, "first"), waits], 1.0)
    finally:
        await owner.close()

    assert first.error is None
    assert locked.error is not None
    assert not isinstance(locked.error, CommitUnknownError)
    assert await value(pools, "skus", tenant) == ["first"]
    assert await value(pools, "skus", other) == []


async def test_connections_that_are_cut_at_any_moment_leave_every_unit_once_or_in_doubt(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards
) -> None:
    added = 0

    async def add_and_count(transaction: Transaction, sku: str) -> None:
        nonlocal added
        await add(transaction, sku)
        added += 1

    units = {**UNITS, "add": add_and_count}
    pools, tenant = make_pools(units, limits=PoolLimits(app_connections=2)), await make_tenant()
    owner = await shards.as_owner()
    # Not those that are just being opened: where none is left and none can be opened, all that waits is refused.
    cut = f"SELECT pg_terminate_backend(pid) {_OURS} AND state <> 'starting'"
    calls = [UnitCall("add", SHARD, tenant, f"{n:04d}") for n in range(400)]
    work = asyncio.create_task(pools.run(calls, 4 * PATIENCE_S))
    try:
        while not work.done():
            # As quickly as it gets on.
            before = added
            while added < before + 10 and not work.done():  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.001)
            await owner.execute(cut)
        outcomes = await work
    finally:
        await owner.close()

    there = set(await value(pools, "skus", tenant))
    for number, outcome in enumerate(outcomes):
        sku = f"{number:04d}"
        if outcome.error is None:
            assert sku in there, sku
        elif not isinstance(outcome.error, CommitUnknownError):
            # A repeat after an unknown commit would collide; nothing here repeats, so a failure left nothing.
            assert sku not in there, (sku, outcome.error)
    assert sum(outcome.error is None for outcome in outcomes) > 100
    assert (await run(pools, "skus", tenant)).error is None


async def test_commits_that_are_cancelled_at_any_moment_are_never_told_wrong(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards
) -> None:
    pools, tenant = make_pools(UNITS, limits=PoolLimits(app_connections=2)), await make_tenant()
    owner = await shards.as_owner()
    cancel = f"SELECT pg_cancel_backend(pid) {_OURS}"
    work = asyncio.create_task(
        pools.run([UnitCall("add", SHARD, tenant, f"{n:04d}") for n in range(400)], 4 * PATIENCE_S)
    )
    try:
        while not work.done():
            await owner.execute(cancel)
            await asyncio.sleep(0.002)
        outcomes = await work
    finally:
        await owner.close()

    there = set(await value(pools, "skus", tenant))
    for number, outcome in enumerate(outcomes):
        if not isinstance(outcome.error, CommitUnknownError):
            assert (outcome.error is None) == (f"{number:04d}" in there), (number, outcome.error)
