"""A connection that goes back to the pool carries nothing of its last borrower's."""

import asyncpg
import pytest

from actors.shards.access import PoolLimits
from actors.shards.dsn import shard_dsn
from actors.shards.errors import UnitFailedError
from actors.shards.pool import ShardPools
from actors.shards.session import DirtySessionError, ShardConnection
from actors.shards.unit import Transaction
from telemetry.log import configure_logging
from tests.contract.shards.calls import PRODUCT, UNITS, run, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant, Shards

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


@pytest.mark.parametrize(
    ("leak", "reason"),
    [
        ("SET search_path = pg_catalog", "search_path"),
        ("SET statement_timeout = 0", "statement_timeout"),
        ("SET ROLE NONE; SET SESSION AUTHORIZATION DEFAULT; SELECT set_config('work_mem', '65', false)", "work_mem"),
        ("SELECT pg_advisory_lock(42)", "advisory lock"),
        ("SELECT pg_try_advisory_lock_shared(42)", "advisory lock"),
        ("PREPARE leak AS SELECT 1", "prepared"),
        ("DECLARE leak CURSOR WITH HOLD FOR SELECT 1", "cursor"),
        ("LISTEN leak", "listens"),
    ],
)
async def test_whatever_is_left_in_a_session_is_found_and_its_connection_thrown_away(
    make_pools: MakePools, make_tenant: MakeTenant, capsys: pytest.CaptureFixture[str], leak: str, reason: str
) -> None:
    configure_logging("INFO")
    pools, tenant = make_pools(UNITS, limits=ONE), await make_tenant()
    before = await value(pools, "backend", tenant)

    await run(pools, "script", tenant, leak)

    assert _unclean(pools) == 1
    assert await value(pools, "backend", tenant) != before
    said = capsys.readouterr()
    assert reason in said.out + said.err


@pytest.mark.parametrize(
    "leak",
    [
        "SET app.other = 'secret'",
        "SELECT set_config('app.other', 'secret', false)",
        r"""SELECT U&"set\005fconfig"('app.other', 'secret', false)""",
        "SELECT ts_stat('SELECT ''a''::tsvector WHERE set_' || 'config(''app.other'', ''secret'', false) <> ''''')",
    ],
)
async def test_a_setting_of_ones_own_is_taken_back_though_nothing_lists_it(
    make_pools: MakePools, make_tenant: MakeTenant, leak: str
) -> None:
    pools, tenant, other = make_pools(UNITS, limits=ONE), await make_tenant(), await make_tenant()
    before = await value(pools, "backend", tenant)

    assert (await run(pools, "script", tenant, leak)).error is None

    assert await value(pools, "statement", other, "SELECT nullif(current_setting('app.other', true), '')") == [(None,)]
    assert await value(pools, "backend", other) == before


async def test_a_unit_cannot_commit_half_of_itself(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    async def in_halves(transaction: Transaction, text: str) -> None:
        await transaction.execute(PRODUCT, "first")
        await transaction.execute(text)
        await transaction.execute(PRODUCT, "second")

    pools, tenant = make_pools({**UNITS, "in_halves": in_halves}, limits=ONE), await make_tenant()

    for text in ("COMMIT AND CHAIN", "/* so */ commit and chain", "SELECT 1; COMMIT AND CHAIN", "ROLLBACK AND CHAIN"):
        outcome = await run(pools, "in_halves", tenant, text)

        assert isinstance(outcome.error, UnitFailedError), text
        assert await value(pools, "skus", tenant) == []


async def test_what_ends_with_the_transaction_is_no_leak(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS, limits=ONE), await make_tenant()
    before = await value(pools, "backend", tenant)

    for statement in (
        "SET LOCAL search_path = pg_catalog",
        "SELECT set_config('work_mem', '65', true)",
        "SELECT pg_advisory_xact_lock(42)",
        "DECLARE mine CURSOR FOR SELECT 1",
        "SAVEPOINT here",
        "SET search_path = pg_catalog; ROLLBACK",
    ):
        await run(pools, "script", tenant, statement)

    assert _unclean(pools) == 0
    assert await value(pools, "backend", tenant) == before


async def test_a_role_that_was_set_is_found(shards: Shards) -> None:
    # No role of ours may be set by another; so as the owner, who may set any.
    connection = await asyncpg.connect(shard_dsn(shards.dsn, SHARD), connection_class=ShardConnection)
    try:
        connection.suspect()
        await connection.assert_clean()
        await connection.execute("SET ROLE spaza_app")
        connection.suspect()

        with pytest.raises(DirtySessionError, match="another role"):
            await connection.assert_clean()
    finally:
        await connection.close()


async def test_the_application_role_can_become_no_other(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS, limits=ONE), await make_tenant()

    for role in ("spaza_system", "postgres"):
        outcome = await run(pools, "script", tenant, f"SET ROLE {role}")
        assert isinstance(outcome.error, UnitFailedError)


async def test_a_statement_prepared_under_another_search_path_finds_no_other_tables_later(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, mine, other = make_pools(UNITS, limits=ONE), await make_tenant(), await make_tenant()
    await value(pools, "add", mine, "mine")
    await value(pools, "add", other, "theirs")

    async def steered(transaction: Transaction, schema: str) -> list[str]:
        await transaction.execute(f"SET LOCAL search_path = tenant_{schema}")
        return [row["sku"] for row in await transaction.fetch("SELECT sku FROM product")]

    steering = make_pools({**UNITS, "steered": steered}, limits=ONE)
    for _ in range(4):
        assert await value(steering, "steered", other, other) == ["theirs"]
        assert await value(steering, "steered", mine, mine) == ["mine"]
        # Steered into the other's schema it is still the tenant that counts.
        assert await value(steering, "steered", mine, other) == []


async def test_temporary_tables_cannot_be_made(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS, limits=ONE), await make_tenant()

    assert (await run(pools, "script", tenant, "CREATE TEMP TABLE t (x int)")).error is not None
