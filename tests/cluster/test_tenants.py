"""Tenants over shard actors and Redis: made once, found through the cache, without it, and after it dies."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import ray

from actors.shards.access import ShardAccess
from actors.shards.handle import NAMESPACE, ShardsHandle, actor_name, start_shards
from actors.shards.placement import groups
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from cache.connection import RedisConnection, RedisTimeouts
from cluster.postgres import PostgresServer
from cluster.redis_server import RedisServer
from kernel.identifiers import new_id
from services.tenants.directory import DirectoryPolicy, TenantDirectory
from services.tenants.schemas import TenantSpec
from services.tenants.sealing import Sealer
from services.tenants.service import TenantProvisioning
from services.tenants.shared_cache import RedisTenantCache
from tests.servers import redis

KEY = base64.b64encode(b"k" * 32).decode()
NOTHING_LOCAL = DirectoryPolicy(local_s=0, local_absent_s=0)


@pytest.fixture(scope="module")
def shards(ray_cluster: None, postgres_server: PostgresServer) -> Iterator[ShardsHandle]:
    asyncio.run(set_up_shards(postgres_server.dsn, KEY))
    access = ShardAccess.derive(postgres_server.dsn, KEY)
    start_shards(access, units="tests.cluster.shard_units:UNITS", topology=None, shards_per_actor=32, timeout_s=300)
    yield ShardsHandle(32)
    for group in groups(32):
        ray.kill(ray.get_actor(actor_name(group), namespace=NAMESPACE))


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis(tmp_path) as server:
        yield server


@pytest.fixture
async def connection(redis_server: RedisServer) -> AsyncIterator[RedisConnection]:
    """One with patience, so that a busy machine is not taken for a Redis that is away."""
    connection = RedisConnection(redis_server.url, timeouts=RedisTimeouts(connect_s=30.0, command_s=30.0))
    yield connection
    await connection.aclose()


async def _provision(dsn: str, shards: ShardsHandle, directory: TenantDirectory, number: str, key: str) -> str:
    spec = TenantSpec.model_validate(
        {
            "name": "Thandi's Spaza",
            "phone_numbers": [{"phone_number_id": number, "display_phone_number": "+27110000001"}],
            "location": {"lat": -26.2485, "lon": 27.8540},
            "whatsapp": {"access_token": "sandbox-access-token"},
        }
    )
    provisioning = TenantProvisioning(shards, TenantSchemas(dsn), Sealer(KEY), directory)
    return (await provisioning.provision(spec, idempotency_key=key)).tenant_id


async def test_provisioning_twice_is_one_tenant_which_the_directory_finds_at_once(
    shards: ShardsHandle, postgres_server: PostgresServer, connection: RedisConnection
) -> None:
    directory = TenantDirectory(shards, RedisTenantCache(connection))
    number, key = "100000000000001", new_id()
    # Asked for too early: that it is nobody's is remembered, here and in Redis.
    assert await directory.by_phone(number) is None

    first = await _provision(postgres_server.dsn, shards, directory, number, key)
    second = await _provision(postgres_server.dsn, shards, directory, number, key)

    assert first == second
    tenant = await directory.by_phone(number)
    assert tenant is not None
    assert tenant.tenant_id == first


async def test_the_directory_keeps_what_it_found_in_redis_for_an_hour_and_nobody_for_half_a_minute(
    shards: ShardsHandle, postgres_server: PostgresServer, connection: RedisConnection
) -> None:
    directory = TenantDirectory(shards, RedisTenantCache(connection), policy=NOTHING_LOCAL)
    tenant_id = await _provision(postgres_server.dsn, shards, directory, "200000000000002", new_id())
    # A moment after a change nothing is kept, for it might be from before.
    assert 0 < await connection.client.ttl("tenant:phone:200000000000002") <= 15
    await directory.by_phone("200000000000002")
    assert await connection.client.get("tenant:phone:200000000000002") == b"~"
    await connection.client.delete("tenant:phone:200000000000002")

    found = await directory.by_phones(["200000000000002", "300000000000003"])

    assert 3200 <= await connection.client.ttl("tenant:phone:200000000000002") <= 3960
    assert 1 <= await connection.client.ttl("tenant:phone:300000000000003") <= 33
    from_redis = await RedisTenantCache(connection).get(["200000000000002", "300000000000003", "4"])
    assert from_redis == dict(found)
    assert from_redis["200000000000002"] is not None
    assert from_redis["200000000000002"].tenant_id == tenant_id


async def test_what_redis_holds_of_another_form_is_read_again_from_the_shards(
    shards: ShardsHandle, postgres_server: PostgresServer, connection: RedisConnection
) -> None:
    directory = TenantDirectory(shards, RedisTenantCache(connection), policy=NOTHING_LOCAL)
    tenant_id = await _provision(postgres_server.dsn, shards, directory, "500000000000005", new_id())

    for text in ("", "[]", "{}", "[0, []]", '[1, ["too few"]]', "7", '"x"', "\xff"):
        await connection.client.set("tenant:phone:500000000000005", text)
        tenant = await directory.by_phone("500000000000005")
        assert tenant is not None
        assert tenant.tenant_id == tenant_id


async def test_the_directory_works_while_redis_is_dead_and_without_waiting_for_it_each_time(
    shards: ShardsHandle, postgres_server: PostgresServer, connection: RedisConnection, redis_server: RedisServer
) -> None:
    directory = TenantDirectory(shards, RedisTenantCache(connection), policy=NOTHING_LOCAL)
    tenant_id = await _provision(postgres_server.dsn, shards, directory, "600000000000006", new_id())
    assert redis_server.process is not None
    redis_server.process.kill()
    redis_server.process.wait()
    started = time.monotonic()

    for _ in range(10):
        tenant = await directory.by_phone("600000000000006")
        assert tenant is not None
        assert tenant.tenant_id == tenant_id

    # Once, and then once a second at most.
    assert connection.failures <= 2 + (time.monotonic() - started) / RedisTimeouts().away_s
    redis_server.start(timeout_s=120.0)
    async with asyncio.timeout(120):
        while not await connection.client.exists("tenant:phone:600000000000006"):
            await directory.by_phone("600000000000006")
            await asyncio.sleep(0.1)


async def test_the_directory_works_without_any_shared_cache(
    shards: ShardsHandle, postgres_server: PostgresServer
) -> None:
    directory = TenantDirectory(shards)
    tenant_id = await _provision(postgres_server.dsn, shards, directory, "700000000000007", new_id())

    tenant = await directory.by_phone("700000000000007")

    assert tenant is not None
    assert tenant.tenant_id == tenant_id
