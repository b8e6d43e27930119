"""A move that is killed with SIGKILL at any of its steps leads back or on, with all rows and messages in one place."""

import asyncio
import os
import random

import pytest

from actors.shards.placement import shard_of
from cluster.postgres import PostgresServer
from kernel.identifiers import new_id
from tests.contract.tenants.bench import KEY, Bench
from tests.contract.tenants.movers import Mover, other_than
from tests.killing import killed_at

# Each run takes other steps; 1 takes them all, which is a matter of minutes.
_STRIDE = int(os.environ.get("SPAZA_TEST_KILL_STRIDE", "9"))
_PATIENCE_S = 120.0
_SESSIONS = "SELECT pid, backend_start FROM pg_stat_activity WHERE application_name LIKE 'spaza%'"


async def _made(dsn: str) -> str:
    bench = Bench(dsn, KEY)
    tenant: str = (await bench.made())["tenant_id"]
    await bench.products(tenant, 40)
    await bench.aclose()
    return tenant


async def _move(dsn: str, tenant: str, shard: int) -> None:
    mover = Mover(dsn)
    await mover.moving.move(tenant, shard)
    await mover.aclose()


async def _write(dsn: str, tenant: str, shards: tuple[int, int], name: str) -> None:
    """As somebody who has heard of no move, while nothing is under way."""
    mover = Mover(dsn)
    (await mover.follow("write", tenant, shards[0], name)).unwrap()
    await mover.receive(tenant, await mover.home(tenant), 1)
    await mover.aclose()


async def _ended(dsn: str, tenant: str, shards: tuple[int, int], written: list[str], step: int) -> None:
    """Let the look after left moves do its work, and see that the tenant is whole in one place."""
    mover = Mover(dsn)
    async with asyncio.timeout(_PATIENCE_S):
        # The server takes a moment to see that the mover's sessions are gone, and ends what they have told it.
        left = killed = await mover.fetch(0, _SESSIONS)
        while left or await mover.move_of(tenant) is not None:
            await mover.moving.end_all_left()
            left = [one for one in await mover.fetch(0, _SESSIONS) if one in killed]
    home = await mover.home(tenant)
    [other] = {*shards} - {home}
    contents = await mover.contents(tenant, home)

    assert await mover.leftovers(tenant, other) == [], step
    assert await mover.skus(tenant, home) == sorted(written), step
    assert len(contents["product"]) == len(written) + 40, step
    assert len(contents["inbound_message"]) == len(written), step
    assert await mover.waiting(tenant, home) == written, step
    await mover.aclose()


@pytest.mark.timeout(1200)
def test_killed_at_any_step_a_tenant_is_whole_where_it_was_or_where_it_goes(server: PostgresServer) -> None:
    dsn, written, moved = server.dsn, list[str](), list[bool]()
    tenant = asyncio.run(_made(dsn))
    shards = (shard_of(tenant), other_than(tenant))
    step, killed = random.randrange(_STRIDE), True
    while killed:
        written.append(new_id())
        asyncio.run(_write(dsn, tenant, shards, written[-1]))
        home = asyncio.run(_home(dsn, tenant))
        [target] = {*shards} - {home}

        async def move(target: int = target) -> None:
            await _move(dsn, tenant, target)

        killed = killed_at(step, move, after=True)
        asyncio.run(_ended(dsn, tenant, shards, written, step))

        moved.append(asyncio.run(_home(dsn, tenant)) == target)
        step += _STRIDE

    assert step > 100
    # Some came back, some went on, and none that was flipped came back.
    assert moved == sorted(moved)
    assert moved[0] is False
    assert moved[-1] is True


async def _home(dsn: str, tenant: str) -> int:
    mover = Mover(dsn)
    home = await mover.home(tenant)
    await mover.aclose()
    return home
