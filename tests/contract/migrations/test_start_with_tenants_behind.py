"""What a start does with tenants that are older than its code: migrates them where it is alone, else says so."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from actors.shards.dsn import shard_dsn
from actors.shards.migration_errors import MigrationChangedError
from actors.shards.migration_files import MigrationFiles, Phase
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from cluster.postgres import PostgresServer
from cluster.shards_in_words import shards_in_words
from config.settings import load_settings
from kernel.identifiers import new_id
from serve_app import Spaza
from tests.contract.migrations.conftest import KEY

FILES = MigrationFiles.of()
OLDER = MigrationFiles(FILES.shared[:-1], FILES.tenant[:1])


@pytest.fixture
async def dsn(server: PostgresServer) -> AsyncIterator[str]:
    """Databases and three tenants of an earlier release."""
    name = f"s{new_id()}"
    dsn = server.database_dsn(f"{name}_{{shard}}")
    await set_up_shards(dsn, KEY, files=OLDER)
    schemas = TenantSchemas(dsn, migrations=OLDER.tenant)
    await asyncio.gather(*(schemas.create(new_id(), shard) for shard in (0, 0, 9)))
    yield dsn
    keeper = await asyncpg.connect(server.database_dsn("postgres"))
    for shard in range(32):
        await keeper.execute(f"DROP DATABASE {name}_{shard:02d} WITH (FORCE)")
    await keeper.close()


def _spaza(dsn: str) -> Spaza:
    settings = load_settings({"SPAZA_POSTGRES__DSN": dsn, "SPAZA_REDIS__URL": "redis://127.0.0.1:1"}, demo_key=KEY)
    return Spaza(settings, instance_id="a-test")


async def _versions(dsn: str) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    for shard in (0, 9):
        connection = await asyncpg.connect(shard_dsn(dsn, shard))
        rows = await connection.fetch("SELECT scope, version FROM spaza.schema_version")
        await connection.close()
        found |= {(row["scope"].split("_")[0], row["version"]) for row in rows}
    return found


async def test_a_start_that_is_alone_migrates_them(dsn: str) -> None:
    done = await _spaza(dsn).prepare(alone=True)

    assert done.migrations is not None
    assert (done.migrations.complete, done.migrations.migrated) == (True, 3)
    assert "3 tenants migrated" in shards_in_words(done.setup, done.migrations)
    assert await _versions(dsn) == {("spaza", len(FILES.shared)), ("tenant", len(FILES.tenant))}
    assert (await _spaza(dsn).prepare(alone=True)).migrations is None


async def test_a_start_on_databases_of_others_leaves_them_and_says_so(dsn: str) -> None:
    done = await _spaza(dsn).prepare()

    assert (done.migrations, done.setup.tenants_behind) == (None, 3)
    assert "3 tenants are older than this code" in shards_in_words(done.setup, None)
    assert await _versions(dsn) == {("spaza", len(FILES.shared)), ("tenant", 1)}


async def test_a_start_beside_older_code_leaves_what_comes_after_the_code(dsn: str) -> None:
    later = FILES.shared[-1]._replace(name=FILES.shared[-1].name.replace("_pre_", "_post_"))
    files = MigrationFiles((*OLDER.shared, later), FILES.tenant)

    await set_up_shards(dsn, KEY, files=files, phase=Phase.PRE)
    assert ("spaza", len(OLDER.shared)) in await _versions(dsn)
    await set_up_shards(dsn, KEY, files=files)
    assert ("spaza", len(FILES.shared)) in await _versions(dsn)


async def test_a_start_refuses_files_that_were_changed_after_they_had_been_applied(dsn: str) -> None:
    changed = OLDER.shared[0]._replace(sql="SELECT 1")

    with pytest.raises(MigrationChangedError, match=changed.name):
        await set_up_shards(dsn, KEY, files=MigrationFiles((changed, *FILES.shared[1:]), FILES.tenant))
