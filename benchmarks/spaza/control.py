"""``python -m benchmarks.spaza.control provision|pause|resume``: reaches into a running instance, as its node does.

Reads the settings from the environment with which the instance was started, and how to join it from what ``spaza env``
prints. A process of its own, for it joins the instance's Ray cluster, and its cost is not to be taken for Spaza's.
"""

import argparse
import asyncio
import logging
import os
from pathlib import Path

import ray
from pydantic import SecretStr

from benchmarks.merchants import Merchant, merchants
from cluster.instance import read_record
from cluster.postgres import PostgresServer
from config.settings import load_settings
from serve_app import Spaza
from services.tenants.schemas import Limits, Location, PhoneNumber, TenantSpec, WhatsAppAccount
from services.tenants.service import TenantProvisioning
from telemetry.log import configure_logging

_INBOUND = "whatsapp.inbound"
_PLENTY = 1_000_000_000
_AT_ONCE = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["provision", "pause", "resume"])
    action = parser.parse_args().action
    configure_logging("WARNING")
    spaza = _connect()
    if action == "provision":
        asyncio.run(_provision(spaza.provisioning()))
    else:
        asyncio.run(spaza.mailbox().pause(_INBOUND, paused=action == "pause"))
    ray.shutdown()


def _connect() -> Spaza:
    settings = load_settings(os.environ)
    record = read_record(settings.data_dir)
    if record is None:
        raise RuntimeError(f"no instance runs on {settings.data_dir}")
    run_dir = Path(record.run_dir)
    pid_file = settings.data_dir / "postgres" / "postmaster.pid"
    port = int(pid_file.read_text(encoding="ascii").splitlines()[3])
    postgres = PostgresServer(settings.data_dir, run_dir, {}, port=port)
    resolved = settings.resolved(postgres_dsn=postgres.dsn, redis_url=_redis_url(run_dir))
    ray.init(namespace="spaza", log_to_driver=False, logging_level=logging.ERROR)
    return Spaza(resolved, instance_id=record.instance_id)


def _redis_url(run_dir: Path) -> str:
    lines = (run_dir / "redis.conf").read_text(encoding="utf-8").splitlines()
    password = next(line.split()[1] for line in lines if line.startswith("requirepass "))
    return f"unix://:{password}@{run_dir / 'redis.sock'}?db=0"


async def _provision(provisioning: TenantProvisioning) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(merchant: Merchant) -> None:
        async with turns:
            await provisioning.provision(_spec(merchant), idempotency_key=f"benchmark-{merchant.phone_number_id}")

    await asyncio.gather(*(one(merchant) for merchant in merchants()))


def _spec(merchant: Merchant) -> TenantSpec:
    return TenantSpec(
        name=merchant.name,
        phone_numbers=(
            PhoneNumber(phone_number_id=merchant.phone_number_id, display_phone_number=merchant.display_phone_number),
        ),
        location=Location(lat=-26.2, lon=28.0),
        whatsapp=WhatsAppAccount(access_token=SecretStr(merchant.access_token), waba_id=merchant.waba_id),
        limits=Limits(minute=_PLENTY, hour=_PLENTY),
    )


if __name__ == "__main__":
    main()
