"""Everything that can be done to a tenant, done to it at once: it is whole in one place, or gone from all."""

import asyncio
import random
from typing import Any

import pytest

from actors.shards.placement import shard_of
from kernel.errors import SpazaError
from tests.contract.tenants.bench import Bench
from tests.contract.tenants.movers import Mover, other_than

_CHANGES = ("suspend", "resume", "rotate", "remove", "delete", "move", "move back", "move on", "look")


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_done_to_a_tenant_at_once_it_is_whole_in_one_place_or_gone(
    bench: Bench, mover: Mover, seed: int
) -> None:
    chance = random.Random(seed)
    tenant = (await bench.made())["tenant_id"]
    await bench.products(tenant, 100)
    shards = [shard_of(tenant), other_than(tenant), other_than(tenant, 9)]

    async def change(what: str) -> Any:
        await asyncio.sleep(chance.random() * 0.3)
        match what:
            case "move" | "move back" | "move on":
                return await mover.moving.move(tenant, shards[("move back", "move", "move on").index(what)])
            case "look":
                return await mover.moving.end_all_left()
            case "delete":
                lines = (await bench.client.get(f"/{tenant}/export")).text.splitlines()
                digest = lines[-1].partition('"digest":"')[2].partition('"')[0] if lines else ""
                # Of an export that was refused there is none.
                return await bench.client.delete(f"/{tenant}", params={"digest": digest or "0" * 64})
            case _:
                return await bench.post(f"/{tenant}/{what}")

    done = await asyncio.gather(*(change(what) for what in _CHANGES * 2), return_exceptions=True)
    await mover.end_left(tenant)

    # What could not be done was refused, in words of our own.
    assert [one for one in done if isinstance(one, BaseException) and not isinstance(one, SpazaError)] == []
    answers = [one for one in done if hasattr(one, "status_code")]
    assert {one.status_code for one in answers} <= {200, 201, 409, 422, 503, 504}
    state = (await bench.client.get(f"/{tenant}")).json()["state"]
    if state == "dropping":
        # Its rows are going, and whoever removes it goes on.
        assert (await bench.client.delete(f"/{tenant}", params={"digest": "0" * 64})).status_code in {200, 409}
        state = (await bench.client.get(f"/{tenant}")).json()["state"]
    home = await mover.home(tenant)
    there = {shard: await mover.leftovers(tenant, shard) for shard in shards}
    assert await mover.move_of(tenant) is None
    if state == "removed":
        assert not any(there.values())
        return
    assert {shard for shard, left in there.items() if left} == {home}
    assert len(await mover.skus(tenant, home, pattern="sku-%")) == 100
    assert (await mover.follow("write", tenant, shards[0], "bread")).error is None
