"""Set-up makes what is missing and leaves what is there, from wherever it was interrupted."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from actors.shards.dsn import shard_dsn
from actors.shards.errors import MigrationFailedError, SetupError, WrongSealingKeyError
from actors.shards.migration_files import Migration
from actors.shards.migrations import Patience, migrate
from actors.shards.placement import SHARDS
from actors.shards.roles import role_password
from actors.shards.sealing_key import key_proof
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from cluster.postgres import PostgresServer
from kernel.identifiers import new_id
from tests.contract.shards.conftest import KEY, SHARD, Shards
from tests.servers import postgres

OTHER_KEY = KEY.replace("a", "b", 1)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres(tmp_path_factory.mktemp("own")) as server:
        yield server


async def _databases(dsn: str, pattern: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        count = await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname LIKE $1", pattern)
        return int(count)
    finally:
        await connection.close()


async def test_databases_of_a_placeholder_are_made_once_and_only_where_they_are_missing(server: PostgresServer) -> None:
    template = server.database_dsn("far_{shard}")

    first = await set_up_shards(template, KEY)
    again = await set_up_shards(template, KEY)
    keeper = await asyncpg.connect(server.database_dsn("postgres"))
    for lost in ("far_00", "far_17"):
        await keeper.execute(f"DROP DATABASE {lost}")
    await keeper.close()
    repaired = await set_up_shards(template, KEY)

    assert (first.databases_created, again.databases_created, repaired.databases_created) == (SHARDS, 0, 2)
    assert again.migrations_applied == 0
    assert await _databases(server.database_dsn("postgres"), "far\\_%") == SHARDS
    for shard in (0, 17, 31):
        password = role_password(KEY, "spaza_system")
        connection = await asyncpg.connect(shard_dsn(template, shard, "spaza_system", password))
        assert await connection.fetch("SELECT * FROM spaza.tenant_placement") == []
        await connection.close()


async def test_two_set_ups_at_once_do_it_once(server: PostgresServer) -> None:
    one, other = await asyncio.gather(set_up_shards(server.dsn, KEY), set_up_shards(server.dsn, KEY))

    assert sorted((one.migrations_applied > 0, other.migrations_applied > 0)) == [False, True]


async def test_another_sealing_key_is_refused_and_changes_nothing(server: PostgresServer) -> None:
    await set_up_shards(server.dsn, KEY)

    with pytest.raises(WrongSealingKeyError, match="SPAZA_SECRETS__KEY"):
        await set_up_shards(server.dsn, OTHER_KEY)

    connection = await asyncpg.connect(shard_dsn(server.dsn, 0, "spaza_app", role_password(KEY, "spaza_app")))
    await connection.close()


async def test_databases_of_two_installations_are_not_taken_together(server: PostgresServer) -> None:
    await set_up_shards(server.dsn, KEY)
    owner = await asyncpg.connect(shard_dsn(server.dsn, 17))
    await owner.execute("UPDATE spaza.sealing_key SET proof = $1", key_proof(OTHER_KEY))
    await owner.close()

    with pytest.raises(WrongSealingKeyError, match="shard_17"):
        await set_up_shards(server.dsn, KEY)


async def test_of_two_keys_at_once_on_new_databases_one_is_kept(server: PostgresServer) -> None:
    results = await asyncio.gather(
        set_up_shards(server.dsn, KEY), set_up_shards(server.dsn, OTHER_KEY), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in results) == ["SetupReport", "WrongSealingKeyError"]
    kept = KEY if not isinstance(results[0], BaseException) else OTHER_KEY
    connection = await asyncpg.connect(shard_dsn(server.dsn, 9, "spaza_app", role_password(kept, "spaza_app")))
    await connection.close()


async def test_a_server_that_is_not_there_is_said_so_without_the_password() -> None:
    with pytest.raises(SetupError) as caught:
        await set_up_shards("postgresql://owner:hush@127.0.0.1:1/x", KEY, timeout_s=60)

    assert "hush" not in str(caught.value)


async def test_a_failing_migration_leaves_those_before_it_and_is_gone_on_from(shards: Shards) -> None:
    scope = f"tenant_{new_id()}"
    good = Migration(1, "0001_pre_a", "CREATE SCHEMA {schema}; CREATE TABLE {schema}.a ()")
    bad = Migration(2, "0002_pre_b", "CREATE TABLE {schema}.b (); SELECT 1/0")
    mended = bad._replace(sql="CREATE TABLE {schema}.b ()")
    connection = await shards.as_owner()
    try:
        with pytest.raises(MigrationFailedError, match="0002_pre_b"):
            await migrate(connection, scope, [good, bad], {"schema": scope})
        assert await connection.fetchval("SELECT to_regclass($1)", f"{scope}.a") is not None
        assert await connection.fetchval("SELECT to_regclass($1)", f"{scope}.b") is None

        assert await migrate(connection, scope, [good, mended], {"schema": scope}) == 1
        assert await migrate(connection, scope, [good, mended], {"schema": scope}) == 0
    finally:
        await connection.close()


async def test_a_migration_waits_for_a_lock_only_briefly_and_comes_again(shards: Shards) -> None:
    scope = f"tenant_{new_id()}"
    one = Migration(1, "0001_pre_a", "CREATE SCHEMA {schema}; CREATE TABLE {schema}.a ()")
    two = Migration(2, "0002_pre_b", "SET LOCAL lock_timeout = '50ms'; ALTER TABLE {schema}.a ADD COLUMN b int")
    connection, reader = await shards.as_owner(), await shards.as_owner()
    try:
        await migrate(connection, scope, [one], {"schema": scope})
        transaction = reader.transaction()
        await transaction.start()
        await reader.fetch(f"SELECT * FROM {scope}.a")
        patience = Patience(attempts=10_000)
        migrating = asyncio.create_task(migrate(connection, scope, [one, two], {"schema": scope}, patience=patience))
        await asyncio.sleep(0.2)
        assert not migrating.done()

        await transaction.rollback()

        assert await migrating == 1
    finally:
        await connection.close()
        await reader.close()


async def test_a_shard_that_keeps_its_makers_waiting_does_not_hold_up_those_of_another(shards: Shards) -> None:
    schemas, goes_on, asked = TenantSchemas(shards.dsn, parallel=2, patience_s=300.0), asyncio.Event(), list[int]()

    async def keeps_waiting() -> bool:
        asked.append(SHARD + 1)
        await goes_on.wait()
        return False

    stuck = [asyncio.create_task(schemas.create(new_id(), SHARD + 1, keeps_waiting)) for _ in range(3)]
    while not asked:  # noqa: ASYNC110 - it tells nobody else
        await asyncio.sleep(0.01)

    assert await schemas.create(new_id(), SHARD)

    assert asked == [SHARD + 1]
    goes_on.set()
    assert await asyncio.gather(*stuck) == [False] * 3


async def test_a_tenants_schema_is_made_once_however_often_and_by_however_many(shards: Shards) -> None:
    tenant, schemas = new_id(), TenantSchemas(shards.dsn)

    await asyncio.gather(*(schemas.create(tenant, SHARD) for _ in range(4)))
    await schemas.create(tenant, SHARD)

    connection = await shards.as_owner()
    try:
        version = await connection.fetchval(
            "SELECT version FROM spaza.schema_version WHERE scope = $1", f"tenant_{tenant}"
        )
        assert version >= 1
    finally:
        await connection.close()
