"""No tenant sees or writes what is another's: on a real server, through the pools and around them."""

import asyncio
import random

import asyncpg
import pytest

from actors.shards.access import PoolLimits
from actors.shards.dsn import shard_dsn
from actors.shards.errors import UnitFailedError
from actors.shards.roles import role_password
from tests.contract.shards.calls import PRODUCT, UNITS, run, value
from tests.contract.shards.conftest import SHARD, MakePools, MakeTenant, Shards

ONE_CONNECTION = PoolLimits(app_connections=1)


async def _as_app(shards: Shards) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(shard_dsn(shards.dsn, SHARD, "spaza_app", role_password(shards.key, "spaza_app")))


async def test_a_tenant_sees_its_own_rows(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS), await make_tenant()

    await value(pools, "add", tenant, "bread")

    assert await value(pools, "skus", tenant) == ["bread"]


async def test_an_unset_tenant_sees_and_writes_nothing(
    shards: Shards, make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant()
    await value(make_pools(UNITS), "add", tenant, "bread")
    connection = await _as_app(shards)
    try:
        assert await connection.fetch(f"SELECT * FROM tenant_{tenant}.product") == []
        assert await connection.execute(f"UPDATE tenant_{tenant}.product SET stock = 1") == "UPDATE 0"
        assert await connection.execute(f"DELETE FROM tenant_{tenant}.product") == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute(PRODUCT.replace("{schema}", f"tenant_{tenant}"), "milk")
    finally:
        await connection.close()


async def test_a_context_that_was_reverted_sees_nothing_either(
    shards: Shards, make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant()
    await value(make_pools(UNITS), "add", tenant, "bread")
    connection = await _as_app(shards)
    try:
        async with connection.transaction():
            await connection.execute("SELECT set_config('app.current_tenant', $1, true)", tenant)
            assert len(await connection.fetch(f"SELECT * FROM tenant_{tenant}.product")) == 1

        # The setting is '' now, and no longer NULL.
        assert await connection.fetchval("SELECT current_setting('app.current_tenant', true)") == ""
        assert await connection.fetch(f"SELECT * FROM tenant_{tenant}.product") == []
    finally:
        await connection.close()


async def test_another_tenants_rows_are_invisible_even_by_the_name_of_their_schema(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, mine, other = make_pools(UNITS), await make_tenant(), await make_tenant()
    await value(pools, "add", other, "bread")

    assert await value(pools, "statement", mine, f"SELECT sku FROM tenant_{other}.product") == []
    assert await value(pools, "statement", mine, f"DELETE FROM tenant_{other}.product RETURNING sku") == []
    assert await value(pools, "skus", other) == ["bread"]


async def test_rows_cannot_be_written_under_another_tenants_name(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, mine, other = make_pools(UNITS), await make_tenant(), await make_tenant()

    outcome = await run(pools, "script", mine, PRODUCT.replace("{schema}", f"tenant_{other}").replace("$1", "'x'"))

    assert isinstance(outcome.error, UnitFailedError)
    assert outcome.error.sqlstate == "42501"
    assert await value(pools, "skus", other) == []


async def test_shared_rows_of_another_tenant_are_invisible_and_cannot_be_written(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, mine, other = make_pools(UNITS), await make_tenant(), await make_tenant()
    insert = (
        "INSERT INTO spaza.inbound_message (tenant_id, message_id, sent_at, kind, body, received_at)"
        " VALUES ('{tenant}', 'm', now(), 'text', '', now())"
    )
    await value(pools, "script", other, insert.replace("{tenant}", other))

    assert await value(pools, "statement", mine, "SELECT message_id FROM spaza.inbound_message") == []
    outcome = await run(pools, "script", mine, insert.replace("{tenant}", other))
    assert isinstance(outcome.error, UnitFailedError)
    assert outcome.error.sqlstate == "42501"


async def test_a_statement_prepared_for_one_tenant_shows_the_next_only_its_own(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools, first, second = make_pools(UNITS, limits=ONE_CONNECTION), await make_tenant(), await make_tenant()
    text = "SELECT tenant_id FROM spaza.inbound_message WHERE message_id = 'prepared'"
    for tenant in (first, second):
        await value(
            pools,
            "script",
            tenant,
            "INSERT INTO spaza.inbound_message (tenant_id, message_id, sent_at, kind, body, received_at)"
            f" VALUES ('{tenant}', 'prepared', now(), 'text', '', now())",
        )

    # PostgreSQL settles on a generic plan at the sixth execution.
    for tenant in (first, second) * 8:
        assert await value(pools, "statement", tenant, text) == [(tenant,)]
    assert await value(pools, "backend", first) == await value(pools, "backend", second)


async def test_tenants_that_share_connections_at_random_never_see_each_other(
    make_pools: MakePools, make_tenant: MakeTenant
) -> None:
    pools = make_pools(UNITS, limits=PoolLimits(app_connections=3))
    tenants = [await make_tenant() for _ in range(5)]
    dice, added = random.Random(7), {tenant: set[str]() for tenant in tenants}

    async def step(number: int) -> None:
        tenant = dice.choice(tenants)
        match dice.randrange(4):
            case 0:
                await value(pools, "add", tenant, f"{tenant}-{number}")
                added[tenant].add(f"{tenant}-{number}")
            case 1:
                await run(pools, "script", tenant, "SELECT 1/0")
            case 2:
                await run(pools, "script", tenant, f"SET app.current_tenant = '{dice.choice(tenants)}'")
            case _:
                assert all(sku.startswith(tenant) for sku in await value(pools, "skus", tenant))

    for start in range(0, 300, 10):
        await asyncio.gather(*(step(start + number) for number in range(10)))

    for tenant in tenants:
        assert set(await value(pools, "skus", tenant)) == added[tenant]


async def test_the_roles_own_nothing_and_cannot_step_around_the_policies(shards: Shards) -> None:
    connection = await shards.as_owner()
    try:
        roles = await connection.fetch(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin FROM pg_roles"
            " WHERE rolname IN ('spaza_app', 'spaza_system')"
        )
        owned = await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relowner IN ('spaza_app'::regrole, 'spaza_system'::regrole)"
        )
        memberships = await connection.fetchval(
            "SELECT count(*) FROM pg_auth_members WHERE member IN ('spaza_app'::regrole, 'spaza_system'::regrole)"
        )
        assert [tuple(role) for role in roles] == [(False, False, False, False, True)] * 2
        assert (owned, memberships) == (0, 0)
    finally:
        await connection.close()


async def test_every_table_forces_row_level_security_on_everybody(shards: Shards, make_tenant: MakeTenant) -> None:
    tenant = await make_tenant()
    connection = await shards.as_owner()
    try:
        open_tables = await connection.fetch(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('spaza', $1) AND c.relkind IN ('r', 'p')"
            " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
            " AND (has_table_privilege('spaza_app', c.oid, 'SELECT, INSERT, UPDATE, DELETE')"
            "      OR has_table_privilege('spaza_system', c.oid, 'SELECT, INSERT, UPDATE, DELETE'))",
            f"tenant_{tenant}",
        )
        assert open_tables == []
    finally:
        await connection.close()


async def test_the_system_role_has_no_way_into_a_tenants_schema(make_pools: MakePools, make_tenant: MakeTenant) -> None:
    pools, tenant = make_pools(UNITS), await make_tenant()

    outcome = await run(pools, "statement", "", f"SELECT * FROM tenant_{tenant}.product")

    assert isinstance(outcome.error, UnitFailedError)
    assert outcome.error.sqlstate == "42501"
