"""The admin API of tenants over the pools of real databases, under one set of keys."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import asyncpg
import httpx

from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.errors import ShardUnavailableError
from actors.shards.placement import shard_of
from actors.shards.pool import ShardPools
from actors.shards.sealing_key import forget_other_keys
from actors.shards.tenant_move import TenantMoves
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome
from cache.connection import RedisConnection
from kernel.identifiers import new_id
from services.admin.actions import Who
from services.tenants.announcing import RedisChangeBus
from services.tenants.directory import DirectoryPolicy, TenantDirectory
from services.tenants.move_ports import Moves
from services.tenants.sealing import Sealer
from services.tenants.shared_cache import RedisTenantCache
from services.tenants.wiring import tenants_app
from services.units import UNITS
from tests.gateway import OPERATOR_TOKEN as TOKEN
from tests.gateway import OPERATORS, behind

KEY, NEW_KEY = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"n"))
SCHEMA = "SELECT 1 FROM pg_namespace WHERE nspname = $1"
PRODUCT = (
    "INSERT INTO {schema}.product (sku, name, price_minor, currency, latitude, longitude)"
    " SELECT 'sku-' || n, 'Product ' || n, n, 'ZAR', 0, 0 FROM generate_series(1, $1::int) AS n"
)


class CrashError(Exception):
    pass


class Runner:
    """Runs units on the pools, with some shards away, or crashing after one of the calls."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools
        self.away: set[int] = set()
        self.calls, self.crash_after = 0, -1

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        at, self.calls = self.calls, self.calls + 1
        outcomes = [
            UnitOutcome(None, (), ShardUnavailableError(call.shard, "away")) if call.shard in self.away else outcome
            for call, outcome in zip(calls, await self._pools.run(calls, timeout_s), strict=True)
        ]
        if at == self.crash_after:
            raise CrashError
        return outcomes


class Record:
    def __init__(self) -> None:
        self.begun: list[tuple[str, str, dict[str, Any]]] = []
        self.ended: list[dict[str, Any]] = []

    async def begin(self, who: Who, action: str, queue: str, request: Mapping[str, Any], *, must: bool) -> str:
        self.begun.append((action, queue, dict(request)))
        return "1"

    async def end(self, action_id: str, action: str, queue: str, outcome: Mapping[str, Any]) -> None:
        self.ended.append(dict(outcome))


class Bench:
    """The API over the pools of one server, under one set of keys."""

    def __init__(
        self, dsn: str, key: str, *others: str, redis: RedisConnection | None = None, moves: Moves | None = None
    ) -> None:
        async def add(transaction: Any, count: int) -> None:
            await transaction.execute(PRODUCT, count)

        self.dsn, self.key = dsn, key
        self.pools = ShardPools(ShardAccess.derive(dsn, key), range(32), {**UNITS, "add": add}, None)
        self.runner, self.record = Runner(self.pools), Record()
        self.sealer = Sealer(key, *others)
        # Nothing is kept, so that what is seen is what the rows say.
        self.directory = TenantDirectory(
            self.runner, None if redis is None else RedisTenantCache(redis),
            bus=None if redis is None else RedisChangeBus(redis), policy=DirectoryPolicy(local_s=0, local_absent_s=0),
        )  # fmt: skip
        if redis is not None:
            redis.close_first(self.directory.aclose)
        app = tenants_app(
            self.runner, self.record, schemas=TenantSchemas(dsn), sealer=self.sealer,
            directory=self.directory, forget_other_keys=partial(forget_other_keys, dsn, key),
            moves=TenantMoves(dsn) if moves is None else moves, limited=("products", "orders"),
        )  # fmt: skip
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=behind("tenants", app, OPERATORS, app.operations)), base_url="http://spaza",
            headers={"Authorization": f"Bearer {TOKEN}", "X-Operator": "thandi", "X-Correlation-ID": "r1"},
        )  # fmt: skip

    async def create(self, *numbers: str, key: str | None = None, **changes: Any) -> httpx.Response:
        return await self.client.post("/", json=spec(*numbers, **changes), headers=idempotent(key))

    async def made(self, *numbers: str) -> dict[str, Any]:
        answer = await self.create(*(numbers or (number(),)))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def post(self, path: str, document: Any = None, key: str | None = None) -> httpx.Response:
        return await self.client.post(path, json=document or {}, headers=idempotent(key))

    async def export(self, tenant_id: str, **query: str) -> list[dict[str, Any]]:
        answer = await self.client.get(f"/{tenant_id}/export", params=query)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    async def products(self, tenant_id: str, count: int) -> None:
        [outcome] = await self.pools.run([UnitCall("add", shard_of(tenant_id), tenant_id, count)], 60.0)
        outcome.unwrap()

    async def page(self, **query: Any) -> dict[str, Any]:
        """Of the list of tenants. On a busy machine a shard may be missing for once; then it is asked for again."""
        async with asyncio.timeout(60.0):
            while (page := (await self.client.get("/", params=query)).json())["partial"]:
                pass
        return dict(page)

    async def owners(self, shard: int, statement: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(shard_dsn(self.dsn, shard))
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def aclose(self) -> None:
        await self.client.aclose()
        await self.pools.aclose()


def number() -> str:
    return str(int(new_id(), 16))[-15:]


def idempotent(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": new_id() if key is None else key}


def spec(*numbers: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "Thandi's Spaza",
        "phone_numbers": [{"phone_number_id": one, "display_phone_number": "+27110000001"} for one in numbers],
        "location": {"lat": -26.2485, "lon": 27.8540},
        "whatsapp": {"access_token": "EAAG-token", "waba_id": "200000000000001"},
        "payments": {
            "paystack": {"secret_key": "sk_test_secret"},
            "ozow": {"site_code": "TSTSTE0001", "private_key": "ozow-private", "api_key": "ozow-api"},
        },
        "limits": {"minute": 50},
        **changes,
    }
