"""What both sides stand on: a PostgreSQL with 32 set up shards, a Ray, and tenants with products on one shard."""

import asyncio
import base64
from pathlib import Path
from typing import Final

import asyncpg
import ray

from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.handle import start_shards
from actors.shards.placement import SHARDS
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from benchmarks.units.functions import PRODUCTS
from cluster.postgres import PostgresServer, start_postgres
from kernel.identifiers import new_id

KEY: Final = base64.b64encode(b"b" * 32).decode()
SHARD: Final = 0
TENANTS: Final = 16
SHARDS_PER_ACTOR: Final = 16
PLACEMENTS: Final = 2_000
_PRODUCTS = """
INSERT INTO {schema}.product (sku, name, price_minor, currency, latitude, longitude, stock)
SELECT 'sku-' || n, 'Bread', 1999, 'ZAR', -26.2, 27.8, 0 FROM generate_series(0, $1 - 1) AS n
"""
_PLACEMENTS = """
INSERT INTO spaza.tenant_placement (tenant_id, name, shard)
SELECT md5($1 || '-' || n), 'Shop ' || n, $1::integer FROM generate_series(1, $2) AS n
"""


class Ground:
    """Servers of the benchmark's own, started and stopped with it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres: PostgresServer | None = None
        self.tenants: list[str] = []

    @property
    def access(self) -> ShardAccess:
        """Under which both sides connect, with as many connections to a shard."""
        assert self._postgres is not None
        return ShardAccess.derive(self._postgres.dsn, KEY)

    def start(self) -> None:
        self._postgres = start_postgres(self._directory / "data", self._directory / "run")
        asyncio.run(self._fill(self._postgres.dsn))
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, namespace="spaza",
            object_store_memory=100_000_000, _temp_dir=str(self._directory / "ray"),
        )  # fmt: skip
        start_shards(
            self.access,
            units="benchmarks.units.functions:UNITS",
            topology=None,
            shards_per_actor=SHARDS_PER_ACTOR,
            log_level="WARNING",
        )

    def stop(self) -> None:
        ray.shutdown()
        if self._postgres is not None:
            self._postgres.stop()

    async def _fill(self, dsn: str) -> None:
        await set_up_shards(dsn, KEY)
        schemas = TenantSchemas(dsn)
        for _ in range(TENANTS):
            self.tenants.append(new_id())
            await schemas.create(self.tenants[-1], SHARD)
        for shard in range(SHARDS):
            connection = await asyncpg.connect(shard_dsn(dsn, shard))
            try:
                await connection.execute(_PLACEMENTS, str(shard), PLACEMENTS)
                for tenant in self.tenants if shard == SHARD else ():
                    await connection.execute(_PRODUCTS.replace("{schema}", f"tenant_{tenant}"), PRODUCTS)
                await connection.execute("ANALYZE")
            finally:
                await connection.close()
