"""An installation of its own on an embedded server, whose tenants are made and migrated as anywhere else."""

import asyncio
import base64
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from actors.shards.access import ShardAccess
from actors.shards.migration_files import FOLDER, SHARED, TENANT, MigrationFiles
from actors.shards.migration_run import TenantMigrations
from actors.shards.owner import MigrationLimits
from actors.shards.pool import ShardPools
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome, registry
from cluster.postgres import PostgresServer, start_postgres
from services.tenants.directory import TenantDirectory
from services.tenants.schemas import TenantSpec
from services.tenants.sealing import Sealer
from services.tenants.service import TenantProvisioning
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


class _Runner:
    """Runs units in this process; a hop through Ray would be measured too otherwise."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        return list(await self._pools.run(calls, timeout_s))


class Fleet:
    """A server with 32 shards, without tenants at first."""

    def __init__(self, folder: Path) -> None:
        self._key = base64.b64encode(secrets.token_bytes(32)).decode()
        self._files = folder / "migrations"
        for name in (SHARED, TENANT):
            shutil.copytree(FOLDER / name, self._files / name)
        (folder / "run").mkdir()
        self._server: PostgresServer = start_postgres(folder / "data", folder / "run")
        self._made = 0

    async def prepare(self) -> None:
        """Make the databases ready."""
        await set_up_shards(self._server.dsn, self._key)

    async def provision(self, number: int, *, at_once: int) -> float:
        """Make so many tenants; the seconds that it took."""
        pools = ShardPools(ShardAccess.derive(self._server.dsn, self._key), range(32), dict(registry(UNITS)), None)
        runner = _Runner(pools)
        schemas = TenantSchemas(self._server.dsn, parallel=at_once, patience_s=120.0)
        provisioning = TenantProvisioning(runner, schemas, Sealer(self._key), TenantDirectory(runner))
        turns = asyncio.Semaphore(at_once)

        async def one(place: int) -> None:
            async with turns:
                await provisioning.provision(_spec(place), idempotency_key=f"tenant-{place}")

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
        report = await TenantMigrations(self._server.dsn, MigrationFiles.of(self._files), limits).run()
        if not report.complete:
            raise RuntimeError(f"not all tenants were migrated: {report.failed[:3]} {report.shards[:3]}")
        return report.migrated, report.seconds

    def stop(self) -> None:
        """End the server."""
        self._server.stop(mode="immediate")


def _spec(place: int) -> TenantSpec:
    given: dict[str, Any] = {
        "name": f"Shop {place}",
        "phone_numbers": [
            {"phone_number_id": str(200_000_000_000_000 + place), "display_phone_number": f"+2711{place:07d}"}
        ],
        "location": {"lat": -26.2485, "lon": 27.8540},
        "whatsapp": {"access_token": "sandbox-access-token"},
    }
    return TenantSpec.model_validate(given)
