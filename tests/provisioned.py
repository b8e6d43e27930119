"""Making tenants as provisioning does, on pools of the test's own, and telling a whole tenant from half of one."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.pool import ShardPools
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome, registry
from kernel.identifiers import new_id
from services.tenants.directory import DirectoryPolicy, TenantDirectory
from services.tenants.schemas import ProvisionedTenant, TenantSpec
from services.tenants.sealing import Sealer
from services.tenants.service import TenantProvisioning
from services.tenants.store import UNITS
from services.tenants.tenant import Tenant

NOTHING_KEPT: Final = DirectoryPolicy(local_s=0, local_absent_s=0)


class PoolRunner:
    """Runs units on pools in this process."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        return list(await self._pools.run(calls, timeout_s))


class Provisioner:
    """Provisioning on an installation's databases. Holds connections until ``aclose``."""

    def __init__(self, dsn: str, key: str, *, parallel: int = 4) -> None:
        self._pools = ShardPools(ShardAccess.derive(dsn, key), range(32), dict(registry(UNITS)), None)
        runner = PoolRunner(self._pools)
        self.directory = TenantDirectory(runner, policy=NOTHING_KEPT)
        schemas = TenantSchemas(dsn, parallel=parallel)
        self._provisioning = TenantProvisioning(runner, schemas, Sealer(key), self.directory)

    async def provision(self, number: str, key: str) -> ProvisionedTenant:
        """Make a merchant with one number."""
        return await self._provisioning.provision(spec(number), idempotency_key=key)

    async def find(self, number: str) -> Tenant | None:
        """What the way of a message finds of it."""
        return await self.directory.by_phone(number)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pools.aclose()


def spec(number: str) -> TenantSpec:
    """A merchant with one number."""
    given: dict[str, Any] = {
        "name": f"Shop {number}",
        "phone_numbers": [{"phone_number_id": number, "display_phone_number": "+27110000001"}],
        "location": {"lat": -26.2485, "lon": 27.8540},
        "whatsapp": {"access_token": "sandbox-access-token", "waba_id": "200000000000001"},
    }
    return TenantSpec.model_validate(given)


def new_number() -> str:
    """A phone_number_id that nobody has."""
    return str(int(new_id(), 16))[-15:]


async def schemas_of(dsn: str, shard: int) -> dict[str, int | None]:
    """Every tenant's schema of a shard, with the version that its row names; None without one."""
    connection = await asyncpg.connect(shard_dsn(dsn, shard))
    try:
        rows = await connection.fetch(
            "SELECT n.nspname, v.version FROM pg_namespace n LEFT JOIN spaza.schema_version v ON v.scope = n.nspname"
            " WHERE n.nspname LIKE 'tenant\\_%'"
        )
    finally:
        await connection.close()
    return {row["nspname"]: row["version"] for row in rows}
