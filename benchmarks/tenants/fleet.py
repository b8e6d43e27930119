"""An installation of its own on an embedded server, whose tenants are made and migrated as anywhere else."""

import asyncio
import shutil
from pathlib import Path
from time import perf_counter

from actors.shards.migration_files import FOLDER, SHARED, TENANT, MigrationFiles
from actors.shards.migration_run import TenantMigrations
from actors.shards.owner import MigrationLimits
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import registry
from benchmarks.installation import Installation, PoolRunner, merchant
from services.tenants.directory import TenantDirectory
from services.tenants.store import UNITS

# What a release brings to each tenant: two columns, an index, a table under row level security.
_RELEASE = """
ALTER TABLE {schema}.product ADD COLUMN barcode_NNN text, ADD COLUMN weight_NNN integer NOT NULL DEFAULT 0;
CREATE INDEX product_by_barcode_NNN ON {schema}.product (barcode_NNN) WHERE barcode_NNN IS NOT NULL;
CREATE TABLE {schema}.supplier_NNN (
    tenant_id text NOT NULL DEFAULT '{tenant_id}' CHECK (tenant_id = '{tenant_id}'),
    id        text NOT NULL PRIMARY KEY,
    name      text NOT NULL
);
ALTER TABLE {schema}.supplier_NNN ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {schema}.supplier_NNN TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.supplier_NNN TO spaza_app;
"""


class Fleet:
    """A server with 32 shards, without tenants at first."""

    def __init__(self, folder: Path) -> None:
        self._files = folder / "migrations"
        for name in (SHARED, TENANT):
            shutil.copytree(FOLDER / name, self._files / name)
        self._installation = Installation(folder)
        self._made = 0

    async def prepare(self) -> None:
        """Make the databases ready."""
        await self._installation.prepare()

    async def provision(self, number: int, *, at_once: int) -> float:
        """Make so many tenants; the seconds that it took."""
        pools = self._installation.pools(registry(UNITS))
        runner = PoolRunner(pools)
        schemas = TenantSchemas(self._installation.dsn, parallel=at_once, patience_s=120.0)
        provisioning = self._installation.provisioning(runner, TenantDirectory(runner), schemas)
        turns = asyncio.Semaphore(at_once)

        async def one(place: int) -> None:
            async with turns:
                await provisioning.provision(merchant(place), idempotency_key=f"tenant-{place}")

        started = perf_counter()
        await asyncio.gather(*(one(place) for place in range(self._made, self._made + number)))
        seconds = perf_counter() - started
        self._made += number
        await pools.aclose()
        return seconds

    def release(self) -> None:
        """Add a migration."""
        number = len([*(self._files / TENANT).glob("*.sql")]) + 1
        path = self._files / TENANT / f"{number:04d}_pre_release.sql"
        path.write_text(_RELEASE.replace("NNN", str(number)), encoding="utf-8")

    async def migrate(self, limits: MigrationLimits) -> tuple[int, float]:
        """Apply what was added to all tenants; how many they were, and the seconds.

        Raises:
            RuntimeError: not all could be migrated.
        """
        report = await TenantMigrations(self._installation.dsn, MigrationFiles.of(self._files), limits).run()
        if not report.complete:
            raise RuntimeError(f"not all tenants were migrated: {report.failed[:3]} {report.shards[:3]}")
        return report.migrated, report.seconds

    def stop(self) -> None:
        """End the server."""
        self._installation.stop()
