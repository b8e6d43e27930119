"""An installation of a measurement's own: an embedded server with all shards, and what makes merchants on it."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.shards.access import ShardAccess
from actors.shards.placement import SHARDS
from actors.shards.pool import ShardPools
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.transaction import Publisher
from actors.shards.unit import UnitCall, UnitFunction, UnitOutcome, UnitRunner
from cluster.postgres import start_postgres
from services.tenants.directory import TenantDirectory
from services.tenants.schemas import TenantSpec
from services.tenants.sealing import Sealer
from services.tenants.service import TenantProvisioning


class PoolRunner:
    """Runs units in this process; a hop through Ray would be measured too otherwise."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        return list(await self._pools.run(calls, timeout_s))


class Installation:
    """A server that runs until ``stop``. Its shards are there after ``prepare``."""

    def __init__(self, folder: Path) -> None:
        self._key = base64.b64encode(secrets.token_bytes(32)).decode()
        (folder / "run").mkdir()
        self._server = start_postgres(folder / "data", folder / "run")
        self.dsn = self._server.dsn

    async def prepare(self) -> None:
        """Make the databases ready."""
        await set_up_shards(self.dsn, self._key)

    def pools(self, units: Mapping[str, UnitFunction], publisher: Publisher | None = None) -> ShardPools:
        """Pools of all shards, which the caller closes."""
        return ShardPools(ShardAccess.derive(self.dsn, self._key), range(SHARDS), units, publisher)

    def provisioning(
        self, shards: UnitRunner, directory: TenantDirectory, schemas: TenantSchemas | None = None
    ) -> TenantProvisioning:
        """What makes merchants."""
        return TenantProvisioning(
            shards, TenantSchemas(self.dsn) if schemas is None else schemas, Sealer(self._key), directory
        )

    def stop(self) -> None:
        """End the server."""
        self._server.stop(mode="immediate")


def merchant(place: int = 0) -> TenantSpec:
    """One of many, with a number of its own."""
    given: dict[str, Any] = {
        "name": f"Shop {place}",
        "phone_numbers": [
            {"phone_number_id": str(200_000_000_000_000 + place), "display_phone_number": f"+2711{place:07d}"}
        ],
        "location": {"lat": -26.2485, "lon": 27.8540},
        "whatsapp": {"access_token": "sandbox-access-token"},
    }
    return TenantSpec.model_validate(given)
