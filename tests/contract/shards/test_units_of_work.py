"""A unit of work is one transaction: all of it or nothing, in time or not at all."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from actors.mailbox.message import Message, Publication, PublishedRow
from actors.shards.access import PoolLimits
from actors.shards.errors import (
    CommitUnknownError,
    OverloadedError,
    ShardUnavailableError,
    UnitFailedError,
    UnitTimeoutError,
    UnknownUnitError,
    WrongTenantError,
)
from actors.shards.unit import Transaction, UnitCall, UnitFunction
from kernel.errors import SpazaError
from tests.contract.shards.calls import PATIENCE_S, UNITS, Stay, add, run, skus, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant, Shards


class OutOfStockError(SpazaError):
    pass


async def _add_then(transaction: Transaction, error: Exception) -> None:
    await add(transaction, "bread")
    raise error


async def test_a_unit_that_raises_leaves_nothing_and_its_own_error_comes_back(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools({**UNITS, "fail": _add_then}), await make_tenant()

    outcome = await run(pools, "fail", tenant, OutOfStockError())

    assert isinstance(outcome.error, OutOfStockError)
    assert await value(pools, "skus", tenant) == []


async def test_a_fault_in_a_units_code_leaves_nothing_and_is_named(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools({**UNITS, "fail": _add_then}), await make_tenant()

    outcome = await run(pools, "fail", tenant, ZeroDivisionError())

    assert isinstance(outcome.error, UnitFailedError)
    assert outcome.error.detail == "ZeroDivisionError"
    assert await value(pools, "skus", tenant) == []


async def test_a_failed_statement_leaves_nothing_of_its_unit_and_spares_its_neighbours(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools(UNITS), await make_tenant()
    await value(pools, "add", tenant, "bread")
    calls = [UnitCall("add", SHARD, tenant, sku) for sku in ("milk", "bread", "eggs")]

    milk, bread, eggs = await pools.run(calls, PATIENCE_S)

    assert milk.error is None
    assert eggs.error is None
    assert isinstance(bread.error, UnitFailedError)
    assert bread.error.sqlstate == "23505"
    assert await value(pools, "skus", tenant) == ["bread", "eggs", "milk"]


async def test_a_unit_that_swallows_a_failed_statement_is_not_taken_for_committed(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    async def swallow(transaction: Transaction, _arguments: Any) -> str:
        await add(transaction, "bread")
        try:
            await transaction.execute("SELECT 1/0")
        except Exception:  # noqa: BLE001 - what must not be done
            return "fine"
        return ""

    pools, tenant = make_pools({**UNITS, "swallow": swallow}), await make_tenant()

    outcome = await run(pools, "swallow", tenant)

    assert isinstance(outcome.error, UnitFailedError)
    assert await value(pools, "skus", tenant) == []


async def test_a_unit_that_ends_its_own_transaction_is_not_taken_for_whole(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools(UNITS), await make_tenant()

    outcome = await run(pools, "script", tenant, "ROLLBACK")

    assert isinstance(outcome.error, UnitFailedError)


async def test_outcomes_come_in_the_order_of_the_calls(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    async def echo(_transaction: Transaction, number: int) -> int:
        return number

    pools, tenant = make_pools({"echo": echo}), await make_tenant()
    calls = [UnitCall("echo", number % 3, tenant, number) for number in range(60)]

    outcomes = await pools.run(calls, PATIENCE_S)

    assert [outcome.value for outcome in outcomes] == list(range(60))


async def test_what_cannot_be_run_is_said_for_each_and_the_others_run(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools(UNITS), await make_tenant()
    calls = [
        UnitCall("nothing", SHARD, tenant, None),
        UnitCall("skus", SHARD, "'; DROP TABLE t; --", None),
        UnitCall("skus", 40, tenant, None),
        UnitCall("skus", SHARD, tenant, None),
    ]

    unknown, wrong, elsewhere, fine = await pools.run(calls, PATIENCE_S)

    assert isinstance(unknown.error, UnknownUnitError)
    assert isinstance(wrong.error, WrongTenantError)
    assert isinstance(elsewhere.error, ShardUnavailableError)
    assert fine.value == []


async def test_a_unit_past_its_deadline_is_rolled_back_and_its_connection_used_again(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    async def slow(transaction: Transaction, _arguments: Any) -> None:
        await add(transaction, "bread")
        await transaction.execute("SELECT pg_sleep(20)")

    pools = make_pools({**UNITS, "slow": slow}, limits=PoolLimits(app_connections=1, rollback_s=PATIENCE_S))
    tenant = await make_tenant()
    before = await value(pools, "backend", tenant)
    started = time.monotonic()

    outcome = await run(pools, "slow", tenant, timeout_s=1.0)

    assert isinstance(outcome.error, UnitTimeoutError)
    assert time.monotonic() - started < 20.0
    assert await value(pools, "skus", tenant) == []
    assert await value(pools, "backend", tenant) == before


async def test_a_full_queue_is_refused_at_once_with_a_time_to_come_back(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, tenant = make_pools(UNITS, limits=PoolLimits(waiting=10)), await make_tenant()
    calls = [UnitCall("skus", SHARD, tenant, None)] * 8

    outcomes = await pools.run(calls, PATIENCE_S)

    refused = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert len(refused) == 3
    assert all(isinstance(error, OverloadedError) and 0 < error.retry_after_s <= 5.0 for error in refused)
    assert (await run(pools, "skus", tenant)).error is None


async def test_a_busy_shard_does_not_hold_up_another(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    stay = Stay()
    pools, tenant = make_pools({**UNITS, "stay": stay.stay}), await make_tenant()
    busy = asyncio.create_task(pools.run([UnitCall("stay", SHARD, tenant, None)] * 8, PATIENCE_S))
    await stay.have_come(1)

    assert (await run(pools, "statement", tenant, "SELECT 1", shard=SHARD + 1)).value == [(1,)]
    # Of the busy shard itself, connections are left to other calls.
    assert (await run(pools, "statement", tenant, "SELECT 1")).value == [(1,)]
    assert not busy.done()
    stay.may_end.set()
    assert [outcome.error for outcome in await busy] == [None] * 8


async def test_two_units_that_deadlock_both_come_through(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    met = asyncio.Barrier(2)
    tries = 0

    async def crossing(transaction: Transaction, order: Sequence[str]) -> None:
        nonlocal tries
        tries += 1
        for sku in order:
            await transaction.execute("UPDATE {schema}.product SET price_minor = price_minor + 1 WHERE sku = $1", sku)
            if sku == order[0] and tries <= 2:
                await met.wait()

    pools, tenant = make_pools({**UNITS, "crossing": crossing}), await make_tenant()
    for sku in ("a", "b"):
        await value(pools, "add", tenant, sku)

    outcomes = await asyncio.gather(
        run(pools, "crossing", tenant, ["a", "b"]), run(pools, "crossing", tenant, ["b", "a"])
    )

    assert [outcome.error for outcome in outcomes] == [None, None]
    assert tries == 3


async def test_a_unit_whose_connection_breaks_before_the_commit_runs_on_another(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards
) -> None:
    tries = 0

    async def cut(transaction: Transaction, _arguments: Any) -> None:
        nonlocal tries
        tries += 1
        await add(transaction, "bread")
        if tries == 1:
            pid = (await transaction.fetchrow("SELECT pg_backend_pid()"))[0]
            owner = await shards.as_owner()
            await owner.execute("SELECT pg_terminate_backend($1)", pid)
            await owner.close()

    pools, tenant = make_pools({**UNITS, "cut": cut}), await make_tenant()

    outcome = await run(pools, "cut", tenant)

    # The backend ends at once or when it is asked next, which is the commit; then nobody knows.
    if outcome.error is None:
        assert tries == 2
        assert await value(pools, "skus", tenant) == ["bread"]
    else:
        assert isinstance(outcome.error, CommitUnknownError)
        assert (await run(pools, "skus", tenant)).error is None


async def test_idle_connections_that_have_broken_are_replaced(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards
) -> None:
    pools, tenant = make_pools(UNITS, limits=PoolLimits(app_connections=1)), await make_tenant()
    pid = await value(pools, "backend", tenant)
    owner = await shards.as_owner()
    await owner.execute("SELECT pg_terminate_backend($1)", pid)
    await owner.close()

    outcome = await run(pools, "backend", tenant)

    assert outcome.error is None
    assert outcome.value != pid


async def test_no_server_is_a_shard_unavailable(make_pools: MakePools) -> None:
    pools = make_pools(UNITS, dsn="postgresql://127.0.0.1:1/x")

    outcome = await run(pools, "skus", "a" * 32)

    assert isinstance(outcome.error, ShardUnavailableError)
    assert not isinstance(outcome.error, CommitUnknownError)
    assert outcome.error.retryable


async def test_a_commit_that_is_refused_leaves_nothing_and_is_no_riddle(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards
) -> None:
    pools, tenant = make_pools(UNITS), await make_tenant()
    owner = await shards.as_owner()
    await owner.execute(
        f"ALTER TABLE tenant_{tenant}.product ADD CONSTRAINT late UNIQUE (name) DEFERRABLE INITIALLY DEFERRED"
    )
    await owner.close()
    insert = (
        "INSERT INTO {schema}.product (sku, name, price_minor, currency, latitude, longitude)"
        " VALUES ('a', 'same', 1, 'ZAR', 0, 0), ('b', 'same', 1, 'ZAR', 0, 0)"
    )

    outcome = await run(pools, "script", tenant, insert)

    assert isinstance(outcome.error, UnitFailedError)
    assert outcome.error.sqlstate == "23505"
    assert await value(pools, "skus", tenant) == []


async def test_what_a_unit_publishes_is_in_its_outcome_only_if_it_commits(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    class FakePublisher:
        async def publish(
            self, connection: Any, shard: int, tenant_id: str, publication: Publication
        ) -> Sequence[PublishedRow]:
            seq = await connection.fetchval("SELECT 1")
            queue = f"{publication.exchange}/{publication.routing_key}"
            return [PublishedRow(queue, shard, seq, message) for message in publication.messages]

    async def publish(transaction: Transaction, error: Exception | None) -> None:
        await transaction.publish("notifications", "", [Message("1", "k", transaction.tenant_id, b"", {}, 0.0)])
        if error is not None:
            raise error

    units: dict[str, UnitFunction] = {"publish": publish}
    pools, tenant = make_pools(units, publisher=FakePublisher()), await make_tenant()

    committed = await run(pools, "publish", tenant)
    failed = await run(pools, "publish", tenant, OutOfStockError())

    assert [(row.queue, row.partition, row.seq) for row in committed.published] == [("notifications/", SHARD, 1)]
    assert failed.published == ()


async def test_a_unit_goes_over_the_wire_as_begin_its_statements_and_commit(
    make_pools: MakePools, make_tenant: MakeTenant, shards: Shards
) -> None:
    pools, tenant = make_pools(UNITS, limits=PoolLimits(app_connections=1)), await make_tenant()
    for _ in range(2):
        await value(pools, "skus", tenant)
    pid = await value(pools, "backend", tenant)
    owner = await shards.as_owner()
    asked = "SELECT query, state, state_change FROM pg_stat_activity WHERE pid = $1"
    try:
        ((_, _, before),) = await owner.fetch(asked, pid)
        await value(pools, "skus", tenant)
        ((query, state, after),) = await owner.fetch(asked, pid)
    finally:
        await owner.close()

    # Nothing came after the commit, neither a reset nor a check.
    assert (query, state) == ("COMMIT", "idle")
    assert after > before


@pytest.mark.parametrize("units", [1, 2, 7, 30])
async def test_any_number_of_units_of_one_shard_all_end(
    make_pools: MakePools, make_tenant: MakeTenant, units: int
) -> None:
    pools, tenant = make_pools({**UNITS, "skus": skus}), await make_tenant()

    outcomes = await pools.run([UnitCall("add", SHARD, tenant, f"{n:02d}") for n in range(units)], PATIENCE_S)

    assert all(outcome.error is None for outcome in outcomes)
    assert len(await value(pools, "skus", tenant)) == units
