"""Which tenants' schemas are not what their version says, by their catalogues. Changes nothing.

What a version should be is seen by making a schema of it in a transaction that is undone, on each shard, so that it
is held against what the same server says in the same words.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg

from actors.shards.catalog import Catalog, Difference, catalog_of, differences, hash_of, open_tables
from actors.shards.migration_files import TENANT, refuse_changed
from actors.shards.migration_run import TenantMigrations
from actors.shards.rehearsal import SCRATCH, SCRATCH_TENANT, scratch_schema
from actors.shards.release_register import read_versions
from actors.shards.translation import FOREIGN
from kernel.sql import load_queries

_SQL: Final = load_queries(Path(__file__).with_name("catalog.sql"))
_AT_ONCE: Final = 50


class SchemaDrift(NamedTuple):
    """A schema that is not what it should be.

    Attributes:
        version: as its row says; None without one.
        hash: of its catalogue; empty where it is not there.
        expected_hash: of a schema of that version; empty where the version is unknown here.
        differences: what differs; empty where the whole is the matter, see ``note``.
        note: what is wrong with the whole, such as a version row without a schema, or tables that are open though its
            migrations make them so.
    """

    scope: str
    shard: int
    version: int | None
    hash: str
    expected_hash: str
    differences: tuple[Difference, ...]
    note: str


class DriftReport(NamedTuple):
    """What was found.

    Attributes:
        checked: schemas that were looked at.
        newest: number of the newest file.
        versions: version to how many schemas have it.
        hashes: version to the hash of a schema that is made anew; several where servers word it differently.
        drifted: in order of shard and name.
        silent: shard to why it could not be looked at.
    """

    checked: int
    newest: int
    versions: dict[int, int]
    hashes: dict[int, tuple[str, ...]]
    drifted: tuple[SchemaDrift, ...]
    silent: dict[int, str]

    @property
    def clean(self) -> bool:
        """Whether every schema is what it should be."""
        return not (self.drifted or self.silent)


class _Looked(NamedTuple):
    versions: list[int]
    hashes: dict[int, str]
    drifted: list[SchemaDrift]


async def drift(migrations: TenantMigrations, shards: Sequence[int]) -> DriftReport:
    """Look at every tenant's schema of these shards.

    Raises:
        MigrationChangedError: the files are not those that were applied, so there is nothing to hold them against.
        SetupError: a database was never set up.
    """
    looked = await asyncio.gather(*(_look(migrations, shard) for shard in shards))
    found = [one for one in looked if isinstance(one, _Looked)]
    counts: defaultdict[int, int] = defaultdict(int)
    hashes: defaultdict[int, set[str]] = defaultdict(set)
    for one in found:
        for version in one.versions:
            counts[version] += 1
        for version, expected in one.hashes.items():
            hashes[version].add(expected)
    return DriftReport(
        sum(counts.values()),
        len(migrations.files.tenant),
        dict(sorted(counts.items())),
        {version: tuple(sorted(each)) for version, each in sorted(hashes.items())},
        tuple(drifted for one in found for drifted in one.drifted),
        {shard: one for shard, one in zip(shards, looked, strict=True) if isinstance(one, str)},
    )


async def _look(migrations: TenantMigrations, shard: int) -> _Looked | str:
    files = migrations.files.tenant
    try:
        async with migrations.connection(shard) as connection:
            versions = await read_versions(connection, f"shard {shard:02d}")
            refuse_changed(files, versions.released[TENANT], versions.newest_tenant, f"shard {shard:02d}")
            drifted = await _strays(connection, shard)
            expected: dict[int, Catalog] = {}
            for version in sorted({*versions.tenants.values()}):
                if version <= len(files):
                    expected[version] = await _made_anew(migrations, connection, version)
            async with connection.transaction(readonly=True, isolation="repeatable_read"):
                await connection.execute("SET LOCAL search_path = pg_catalog")
                names = iter(versions.tenants)
                while some := [*islice(names, _AT_ONCE)]:
                    for scope, catalog in await _catalogs(connection, some):
                        version = versions.tenants[scope]
                        one = _held_against(scope, shard, version, catalog, expected.get(version), len(files))
                        drifted += [] if one is None else [one]
    except FOREIGN as error:
        return f"{type(error).__name__}: {error}"
    hashes = {version: hash_of(catalog) for version, catalog in expected.items()}
    return _Looked([*versions.tenants.values()], hashes, sorted(drifted))


async def _made_anew(migrations: TenantMigrations, connection: "asyncpg.Connection[Any]", version: int) -> Catalog:
    async with scratch_schema(connection, migrations.files.tenant[:version]):
        rows = await connection.fetch(_SQL["describe"], [SCRATCH])
    return catalog_of((tuple(row)[1:] for row in rows), SCRATCH, SCRATCH_TENANT)


async def _catalogs(connection: "asyncpg.Connection[Any]", scopes: Sequence[str]) -> Iterator[tuple[str, Catalog]]:
    rows: dict[str, list[tuple[str, str, str]]] = {scope: [] for scope in scopes}
    for scope, kind, name, definition in await connection.fetch(_SQL["describe"], scopes):
        rows[scope].append((kind, name, definition))
    return ((scope, catalog_of(each, scope, scope.removeprefix("tenant_"))) for scope, each in rows.items())


async def _strays(connection: "asyncpg.Connection[Any]", shard: int) -> list[SchemaDrift]:
    found = []
    for scope, version, there in await connection.fetch(_SQL["strays"]):
        note = "it has no version row: not made by Spaza" if there else "its version row has no schema"
        found.append(SchemaDrift(scope, shard, version, "", "", (), note))
    return found


def _held_against(  # noqa: PLR0917
    scope: str, shard: int, version: int, found: Catalog, expected: Catalog | None, newest: int
) -> SchemaDrift | None:
    if expected is None:
        note = f"it is of version {version:04d}, and the files here end at {newest:04d}"
        return SchemaDrift(scope, shard, version, hash_of(found), "", (), note)
    opened = open_tables(found)
    if found == expected and not opened:
        return None
    note = f"without row level security that is forced, USING and WITH CHECK: {', '.join(opened)}" if opened else ""
    return SchemaDrift(scope, shard, version, hash_of(found), hash_of(expected), differences(expected, found), note)
