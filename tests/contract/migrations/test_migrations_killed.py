"""A migration that is killed with SIGKILL at any of its steps leaves every schema whole, and is gone on with."""

import asyncio
import random

import pytest

from actors.shards.drift import drift
from actors.shards.migration_files import SHARED, MigrationFiles
from tests.contract.migrations.conftest import Installation
from tests.killing import killed_after, killed_at
from tests.migration_folders import REAL, Release

# One thing after the other, so that a step is the same in every run.
_SERIAL = {"per_shard": 1, "connections": 1}
_SHARDS = (0, 1)
_TENANTS = 3


async def _whole(installation: Installation, release: Release) -> set[int]:
    """Every schema is exactly what its version row says; which versions there are."""
    report = await drift(installation.migrations(release), _SHARDS)
    assert report.clean, [str(one) for drifted in report.drifted for one in drifted.differences]
    assert report.checked == _TENANTS
    return set(report.versions)


async def _anew(installation: Installation, old: MigrationFiles) -> list[str]:
    """Two tenants on one shard and one on another, as an earlier release had made them, and nothing of a newer one."""
    for shard in _SHARDS:
        connection = await installation.owner(shard)
        for (schema,) in await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant\\_%'"):
            await connection.execute(f"DROP SCHEMA {schema} CASCADE")
        await connection.execute(
            "DROP TABLE IF EXISTS spaza.unit_of_measure; DELETE FROM spaza.schema_version WHERE scope <> 'spaza'"
        )
        await connection.execute("UPDATE spaza.schema_version SET version = $1", len(old.shared))
        remove = "DELETE FROM spaza.schema_migration WHERE number > CASE folder WHEN 'shared' THEN $1::int ELSE $2 END"
        await connection.execute(remove, len(old.shared), len(old.tenant))
        await connection.close()
    return await installation.tenants(2, 1, files=old)


@pytest.mark.timeout(900)
def test_killed_at_any_step_every_schema_is_whole_and_the_next_run_finishes_it(
    fresh: Installation, release: Release
) -> None:
    old = release.files
    release.add("CREATE TABLE spaza.unit_of_measure (name text PRIMARY KEY);", kind=SHARED)
    release.add(REAL)
    release.add("ALTER TABLE {schema}.product DROP COLUMN category;", phase="post")
    newest = len(release.files.tenant)
    step, killed, seen = 0, True, set()

    while killed:
        tenants = asyncio.run(_anew(fresh, old))

        async def migrate(canary: str = tenants[2]) -> object:
            return await fresh.migrations(release, shards=_SHARDS, **_SERIAL).run(canaries=[canary])

        killed = killed_at(step, migrate, after=True)

        async def look_and_resume(tenants: list[str] = tenants) -> set[int]:
            between = await _whole(fresh, release)
            report = await fresh.migrations(release, shards=_SHARDS).run(canaries=[tenants[2]])
            assert report.complete
            assert await fresh.versions() == dict.fromkeys(tenants, newest)
            return between

        seen |= asyncio.run(look_and_resume())
        step += 1

    assert step > 60
    assert seen == {newest - 2, newest - 1, newest}
    assert asyncio.run(_whole(fresh, release)) == {newest}


@pytest.mark.timeout(300)
def test_killed_at_a_random_moment_again_and_again_it_comes_to_its_end(fresh: Installation, release: Release) -> None:
    tenants = asyncio.run(fresh.tenants(12, 12))
    for number in range(4):
        release.add(REAL.replace("barcode", f"barcode{number}").replace("weight", f"weight{number}")
                    .replace("supplier", f"supplier{number}"))  # fmt: skip
    newest, chance = len(release.files.tenant), random.Random()

    async def migrate() -> object:
        return await fresh.migrations(release, shards=_SHARDS).run(canaries=tenants[:1])

    async def look() -> None:
        report = await drift(fresh.migrations(release), _SHARDS)
        assert report.clean, [str(one) for drifted in report.drifted for one in drifted.differences]

    kills = 0
    while killed_after(chance.uniform(0.05, 0.4) + 0.02 * kills, migrate):
        kills += 1
        asyncio.run(look())

    assert asyncio.run(fresh.versions()) == dict.fromkeys(tenants, newest)
    asyncio.run(look())
