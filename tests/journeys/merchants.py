"""Making a merchant of a running instance, as provisioning does."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from actors.shards.access import ShardAccess
from actors.shards.pool import ShardPools
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome, registry
from cache.connection import RedisConnection
from cluster.instance import read_record
from services.tenants.announcing import RedisChangeBus
from services.tenants.directory import TenantDirectory
from services.tenants.schemas import Location, PhoneNumber, TenantSpec, WhatsAppAccount
from services.tenants.sealing import Sealer
from services.tenants.service import TenantProvisioning
from services.tenants.shared_cache import RedisTenantCache
from services.tenants.store import UNITS
from tests.journeys.databases import owner_dsn


class _Runner:
    """Runs units on pools of its own, beside those of the instance."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        return list(await self._pools.run(calls, timeout_s))


async def provision(data_dir: Path, phone_number_id: str, name: str, access_token: str) -> str:
    """Make a merchant with one number; returns the tenant's id."""
    key = (data_dir / "secrets.key").read_text().strip()
    dsn = owner_dsn(data_dir)
    pools = ShardPools(ShardAccess.derive(dsn, key), range(32), dict(registry(UNITS)), None)
    redis = RedisConnection(_redis_url(data_dir))
    try:
        runner = _Runner(pools)
        directory = TenantDirectory(runner, RedisTenantCache(redis), bus=RedisChangeBus(redis))
        provisioning = TenantProvisioning(runner, TenantSchemas(dsn), Sealer(key), directory)
        spec = TenantSpec(
            name=name,
            phone_numbers=(PhoneNumber(phone_number_id=phone_number_id, display_phone_number="+27110000077"),),
            location=Location(lat=-26.2, lon=28.0),
            whatsapp=WhatsAppAccount(access_token=SecretStr(access_token), waba_id="200000000000077"),
        )
        return (await provisioning.provision(spec, idempotency_key=f"journey-{phone_number_id}")).tenant_id
    finally:
        await redis.aclose()
        await pools.aclose()


def _redis_url(data_dir: Path) -> str:
    record = read_record(data_dir)
    assert record is not None
    run_dir = Path(record.run_dir)
    lines = (run_dir / "redis.conf").read_text(encoding="utf-8").splitlines()
    password = next(line.split()[1] for line in lines if line.startswith("requirepass "))
    return f"unix://:{password}@{run_dir / 'redis.sock'}?db=0"
