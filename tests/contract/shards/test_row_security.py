"""The catalogue of every shard: no table shows a row to whoever has no tenant, not even to its owner by itself."""

from typing import Any

import asyncpg

from actors.shards.migration_files import FOLDER, SHARED, load_migrations
from actors.shards.migrations import migrate
from actors.shards.placement import SHARDS
from actors.shards.release_register import SHARED_SCOPE
from kernel.identifiers import new_id
from tests.contract.shards.conftest import MakeTenant, Shards

OPEN = """
SELECT n.nspname || '.' || c.relname AS name, 'table' AS what
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
  AND n.nspname = ANY($1)
UNION ALL
SELECT schemaname || '.' || tablename, policyname FROM pg_policies
WHERE schemaname = ANY($1) AND cmd IN ('ALL', 'UPDATE')
  AND (qual IS NULL OR with_check IS NULL)
"""
# As a database that was set up before these were closed.
OPENED = """
DO $opened$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['journal_default', 'settlement_default', 'schema_version', 'schema_migration',
                                'sealing_key'] LOOP
        EXECUTE format('DROP POLICY keeper ON spaza.%I', name);
        EXECUTE format('ALTER TABLE spaza.%I DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END
$opened$;
DELETE FROM spaza.schema_migration WHERE folder = 'shared' AND number > 7;
UPDATE spaza.schema_version SET version = 7 WHERE scope = 'spaza';
"""


async def _open(connection: "asyncpg.Connection[Any]", *tenants: str) -> list[tuple[str, str]]:
    schemas = ["spaza", *(f"tenant_{tenant}" for tenant in tenants)]
    return [(row["name"], row["what"]) for row in await connection.fetch(OPEN, schemas)]


async def test_every_table_of_every_shard_forces_row_level_security_with_using_and_with_check(
    shards: Shards, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant()
    found: dict[int, list[tuple[str, str]]] = {}
    for shard in range(SHARDS):
        owner = await shards.as_owner(shard)
        try:
            # Days that the journal makes later are no other.
            await owner.execute("SELECT spaza.maintain_mailbox(5, 7, (now() AT TIME ZONE 'UTC')::date)")
            found[shard] = await _open(owner, tenant)
        finally:
            await owner.close()

    assert found == {shard: [] for shard in range(SHARDS)}


async def test_a_database_from_before_is_closed_by_its_migrations(shards: Shards) -> None:
    name = f"older_{new_id()}"
    keeper = await asyncpg.connect(shards.server.database_dsn("postgres"))
    await keeper.execute(f"CREATE DATABASE {name} TEMPLATE shard_30")
    owner = await asyncpg.connect(shards.server.database_dsn(name))
    try:
        await owner.execute(OPENED)
        assert len(await _open(owner)) == 5

        applied = await migrate(owner, SHARED_SCOPE, load_migrations(FOLDER / SHARED), folder=SHARED)

        assert applied == 1
        assert await _open(owner) == []
    finally:
        await owner.close()
        await keeper.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await keeper.close()
