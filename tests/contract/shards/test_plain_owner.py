"""Set-up and upkeep by an owner who is no superuser, as a managed PostgreSQL gives it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.errors import SetupError, ShardUnavailableError, TenantMovedError
from actors.shards.migration_files import FOLDER, TENANT, Migration, load_migrations
from actors.shards.move_errors import MoveFailedError
from actors.shards.pool import ShardPools
from actors.shards.roles import SYSTEM_ROLE, role_password
from actors.shards.setup import set_up_shards
from actors.shards.tenant_move import TenantMoves
from actors.shards.tenant_schema import TenantSchemas
from kernel.identifiers import new_id
from tests.contract.shards.calls import UNITS, run
from tests.contract.shards.conftest import KEY
from tests.servers import postgres


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The DSN template of such an owner, and the DSN of the superuser."""
    folder: Path = tmp_path_factory.mktemp("plain")
    with postgres(folder) as server:
        superuser = server.database_dsn("postgres")
        asyncio.run(_make_role(superuser))
        host = urlsplit(shard_dsn(server.tcp_dsn, 0))
        yield f"postgresql://plain:secret@{host.hostname}:{host.port}/plain_{{shard}}", superuser


async def _make_role(superuser: str) -> None:
    keeper = await asyncpg.connect(superuser)
    await keeper.execute("CREATE ROLE plain LOGIN CREATEDB CREATEROLE PASSWORD 'secret'")
    await keeper.close()


async def test_such_an_owner_moves_all_rows_of_a_tenant_though_row_security_holds_for_it_too(
    template: tuple[str, str],
) -> None:
    dsn, _ = template
    await set_up_shards(dsn, KEY)
    tenant, old, new = new_id(), 3, 5
    schemas, pools = TenantSchemas(dsn), ShardPools(ShardAccess.derive(dsn, KEY), [old, new], UNITS)
    await schemas.create(tenant, old)
    for sku in ("bread", "milk"):
        (await run(pools, "add", tenant, sku, shard=old)).unwrap()

    async with TenantMoves(dsn).between(tenant, old, new) as move:
        await move.copy()
        await move.freeze()
        refused = await run(pools, "add", tenant, "eggs", shard=old)
        await move.open()
        await move.finish()

    assert isinstance(refused.error, TenantMovedError)
    assert move.rows == 2
    assert (await run(pools, "skus", tenant, shard=new)).unwrap() == ["bread", "milk"]
    assert isinstance((await run(pools, "skus", tenant, shard=old)).error, TenantMovedError)
    await pools.aclose()


_COUNTING = """
ALTER TABLE {0}.product ADD COLUMN changes int NOT NULL DEFAULT 0;
CREATE FUNCTION {0}.count_change() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.changes := NEW.changes + 1; RETURN NEW; END';
CREATE TRIGGER counted BEFORE INSERT OR UPDATE ON {0}.product FOR EACH ROW EXECUTE FUNCTION {0}.count_change();
"""


async def test_a_tenant_whose_triggers_change_rows_moves_where_the_owner_may_keep_them_from_running(
    template: tuple[str, str],
) -> None:
    dsn, superuser = template
    await set_up_shards(dsn, KEY)
    migrations = load_migrations(FOLDER / TENANT)
    counting = Migration(len(migrations) + 1, "9999_pre_counting", _COUNTING.replace("{0}", "{schema}"))
    tenant, old, new = new_id(), 3, 5
    pools = ShardPools(ShardAccess.derive(dsn, KEY), [old, new], UNITS)
    await TenantSchemas(dsn, migrations=(*migrations, counting)).create(tenant, old)
    (await run(pools, "add", tenant, "bread", shard=old)).unwrap()
    moves = TenantMoves(dsn)

    async with moves.between(tenant, old, new) as move:
        with pytest.raises(MoveFailedError, match=r"product\.counted.*GRANT SET ON PARAMETER session_replication_role"):
            await move.copy()
        await move.undo()
    keeper = await asyncpg.connect(superuser)
    await keeper.execute("GRANT SET ON PARAMETER session_replication_role TO plain")
    await keeper.close()
    async with moves.between(tenant, old, new) as move:
        await move.copy()
        await move.freeze()
        await move.open()
        await move.finish()

    assert (await run(pools, "skus", tenant, shard=new)).unwrap() == ["bread"]
    await pools.aclose()


async def test_a_disk_that_is_full_while_a_tenant_is_made_is_no_fault_of_the_tenants(template: tuple[str, str]) -> None:
    dsn, _ = template
    await set_up_shards(dsn, KEY)
    migrations = load_migrations(FOLDER / TENANT)
    full = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file \"base/1/2\"'; END $$"
    schemas = TenantSchemas(dsn, migrations=(*migrations, Migration(len(migrations) + 1, "9999_pre_full", full)))

    with pytest.raises(ShardUnavailableError) as caught:
        await schemas.create(new_id(), 7)

    assert "base/" not in str(caught.value)


async def test_an_owner_without_privileges_of_a_superuser_sets_up_and_keeps_what_is_unsettled(
    template: tuple[str, str],
) -> None:
    dsn, superuser = template

    await set_up_shards(dsn, KEY)
    await set_up_shards(dsn, KEY)

    owner = await asyncpg.connect(shard_dsn(dsn, 0))
    system = await asyncpg.connect(shard_dsn(dsn, 0, SYSTEM_ROLE, role_password(KEY, SYSTEM_ROLE)))
    try:
        today = await owner.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
        await owner.execute("SELECT spaza.maintain_mailbox(0, 1000, $1::date - 10)", today)
        await system.execute(
            "INSERT INTO spaza.journal (published_on, queue, partition, message_id, tenant_id, key, priority,"
            " published_at, headers, body, checksum, transactional) SELECT $1::date - 10, 'q', 0, id, '',"
            " 'k', 0, now(), '{}', '', 0, false FROM unnest($2::text[]) AS id",
            today,
            ["done", "waiting"],
        )
        await system.execute(
            "INSERT INTO spaza.settlement (published_on, queue, partition, seq, outcome, reason, deliveries)"
            " SELECT published_on, queue, partition, seq, 'acknowledged', '', 1 FROM spaza.journal"
            " WHERE message_id = 'done'"
        )

        maintain = "SELECT made, dropped FROM spaza.maintain_mailbox(3, 7, $1)"
        upkeep = await system.fetchrow(maintain, today)

        assert upkeep is not None
        assert upkeep["dropped"] == 1
        assert [row[0] for row in await system.fetch("SELECT message_id FROM spaza.journal")] == ["waiting"]
    finally:
        await owner.close()
        await system.close()

    keeper = await asyncpg.connect(superuser)
    await keeper.execute(f"ALTER ROLE {SYSTEM_ROLE} BYPASSRLS")
    await keeper.close()
    with pytest.raises(SetupError, match="bypassrls"):
        await set_up_shards(dsn, KEY)
