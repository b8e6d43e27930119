"""What the actors of these tests can run: the units of the tenants, and some that show where they run."""

import asyncio
import os
from collections.abc import Mapping

from actors.shards.unit import Transaction, UnitFunction, registry
from services.catalog.store import UNITS as CATALOG_UNITS
from services.tenants.store import UNITS as TENANT_UNITS


async def process_id(_transaction: Transaction, _arguments: None) -> int:
    return os.getpid()


async def add_slowly(transaction: Transaction, arguments: tuple[str, float]) -> None:
    key, delay_s = arguments
    await transaction.execute(
        "INSERT INTO spaza.tenant_request (idempotency_key, tenant_id, fingerprint) VALUES ($1, '', '')"
        " ON CONFLICT DO NOTHING",
        key,
    )
    await asyncio.sleep(delay_s)


async def count(transaction: Transaction, prefix: str) -> int:
    row = await transaction.fetchrow(
        "SELECT count(*) FROM spaza.tenant_request WHERE starts_with(idempotency_key, $1)", prefix
    )
    return int(row[0])


UNITS: Mapping[str, UnitFunction] = registry(
    TENANT_UNITS, CATALOG_UNITS, {"test.process_id": process_id, "test.add_slowly": add_slowly, "test.count": count}
)
