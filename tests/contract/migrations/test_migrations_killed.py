"""A migration that is killed with SIGKILL at any of its steps leaves every schema whole, and is gone on with."""

import asyncio
import random
from typing import Any

import pytest

from actors.shards.drift import drift
from actors.shards.migration_files import SHARED, filled
from tests.contract.migrations.conftest import Installation
from tests.killing import killed_after, killed_at
from tests.migration_folders import REAL, Release

# One thing after the other on one shard, so that a step is the same in every run.
_SERIAL: Any = {"shards": (0,), "per_shard": 1, "connections": 1}
_UNDO_SHARED = """
DROP TABLE IF EXISTS spaza.unit_of_measure;
UPDATE spaza.schema_version SET version = version - 1 WHERE scope = 'spaza' AND version = {shared};
DELETE FROM spaza.schema_migration WHERE number = CASE folder WHEN 'shared' THEN {shared} ELSE {tenant} END;
"""
_UNDO_TENANT = """
DROP TABLE IF EXISTS {schema}.supplier;
ALTER TABLE {schema}.product DROP COLUMN IF EXISTS barcode, DROP COLUMN IF EXISTS weight_g;
UPDATE spaza.schema_version SET version = version - 1 WHERE scope = '{schema}' AND version = {tenant};
"""


async def _undo(installation: Installation, release: Release, tenants: list[str]) -> None:
    """As it was before the release."""
    newest = {"shared": str(len(release.files.shared)), "tenant": str(len(release.files.tenant))}
    undo = [_UNDO_SHARED, *(_UNDO_TENANT.replace("{schema}", f"tenant_{one}") for one in tenants)]
    connection = await installation.owner(0)
    await connection.execute("".join(filled(statements, newest) for statements in undo))
    await connection.close()


async def _whole(installation: Installation, release: Release) -> set[int]:
    """Every schema is exactly what its version row says; which versions there are."""
    report = await drift(installation.migrations(release), (0,))
    assert report.clean, [str(one) for drifted in report.drifted for one in drifted.differences]
    return set(report.versions)


@pytest.mark.timeout(900)
def test_killed_at_any_step_every_schema_is_whole_and_the_next_run_finishes_it(
    fresh: Installation, release: Release
) -> None:
    tenants = asyncio.run(fresh.tenants(2))
    release.add("CREATE TABLE spaza.unit_of_measure (name text PRIMARY KEY);", kind=SHARED)
    release.add(REAL)
    newest, step, killed, seen = len(release.files.tenant), 0, True, set()

    async def migrate() -> object:
        return await fresh.migrations(release, **_SERIAL).run(canaries=tenants[1:])

    async def look_and_resume() -> set[int]:
        await fresh.sessions_over()
        between = await _whole(fresh, release)
        report = await fresh.migrations(release, **_SERIAL).run(canaries=tenants[1:])
        assert report.complete
        assert await _whole(fresh, release) == {newest}
        return between

    while killed:
        killed = killed_at(step, migrate, after=True)
        seen |= asyncio.run(look_and_resume())
        asyncio.run(_undo(fresh, release, tenants))
        step += 1

    assert step > 80
    assert seen == {newest - 1, newest}


@pytest.mark.timeout(900)
def test_killed_at_a_random_moment_again_and_again_it_comes_to_its_end(fresh: Installation, release: Release) -> None:
    tenants = asyncio.run(fresh.tenants(12, 12))
    for number in range(4):
        release.add(REAL.replace("barcode", f"barcode{number}").replace("weight", f"weight{number}")
                    .replace("supplier", f"supplier{number}"))  # fmt: skip
    newest, chance = len(release.files.tenant), random.Random()

    async def migrate() -> object:
        return await fresh.migrations(release, shards=(0, 1)).run(canaries=tenants[:1])

    async def look() -> None:
        await fresh.sessions_over()
        report = await drift(fresh.migrations(release), (0, 1))
        assert report.clean, [str(one) for drifted in report.drifted for one in drifted.differences]

    kills = 0
    while killed_after(chance.uniform(0.05, 0.4) * 1.1**kills, migrate):
        kills += 1
        asyncio.run(look())

    assert asyncio.run(fresh.versions()) == dict.fromkeys(tenants, newest)
    asyncio.run(look())
