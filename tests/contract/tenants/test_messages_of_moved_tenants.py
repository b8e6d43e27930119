"""The messages that wait for a tenant which moves go with it, and say that they may have been delivered before."""

import pytest

from actors.shards.move_errors import MoveFailedError
from actors.shards.placement import shard_of
from actors.shards.tenant_move import MovePolicy
from tests.contract.tenants.bench import Bench
from tests.contract.tenants.movers import Mover, other_than


async def test_a_tenant_for_which_too_many_messages_wait_stays_where_it_is(bench: Bench) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    mover = Mover(bench.dsn, MovePolicy(most_messages=1))
    for place in range(2):
        (await mover.run("write", tenant, old, f"{tenant}.{place}")).unwrap()

    with pytest.raises(MoveFailedError, match="2 messages wait"):
        await mover.moving.move(tenant, new)

    assert (await mover.run("write", tenant, old, f"{tenant}.2")).error is None
    assert await mover.leftovers(tenant, new) == []
    assert await mover.move_of(tenant) is None
    await mover.aclose()


async def test_a_partition_that_is_held_by_somebody_keeps_its_messages_and_not_the_tenant(bench: Bench) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    mover = Mover(bench.dsn, MovePolicy(partition_s=0.2))
    await mover.owns("notifications.whatsapp", old, clock_s=1.0)
    (await mover.run("write", tenant, old, f"{tenant}.0")).unwrap()

    async with mover.holding("notifications.whatsapp", old):
        report = await mover.moving.move(tenant, new)

    assert (report.moved, report.messages) == (True, 0)
    assert await mover.waiting(tenant, old) == [f"{tenant}.0"]
    assert (await mover.run("write", tenant, new, f"{tenant}.1")).error is None
    assert await mover.owner("notifications.whatsapp", old) == (1, "somebody")
    await mover.aclose()


async def test_a_tenant_goes_away_and_comes_back_with_what_waits_for_it(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    for place in range(3):
        (await mover.run("write", tenant, old, f"{tenant}.{place}")).unwrap()

    away = await mover.moving.move(tenant, new)
    (await mover.run("write", tenant, new, f"{tenant}.3")).unwrap()
    back = await mover.moving.move(tenant, old)

    assert (away.messages, back.messages) == (3, 4)
    assert await mover.waiting(tenant, new) == []
    written = [f"{tenant}.{place}" for place in range(4)]
    assert await mover.waiting(tenant, old) == written
    assert await mover.skus(tenant, old) == written


async def test_the_owner_of_a_partition_from_which_messages_go_is_fenced(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await mover.owns("notifications.whatsapp", old, clock_s=100.0)
    await mover.owns("notifications.whatsapp", new, clock_s=7.0)
    (await mover.run("write", tenant, old, f"{tenant}.0")).unwrap()
    await mover.execute(old, f"UPDATE spaza.journal SET clock_s = 90 WHERE tenant_id = '{tenant}'")

    await mover.moving.move(tenant, new)

    assert await mover.owner("notifications.whatsapp", old) == (2, "")
    assert await mover.owner("notifications.whatsapp", new) == (1, "somebody")
    [row] = await mover.fetch(new, "SELECT clock_s, transactional FROM spaza.journal WHERE tenant_id = $1", tenant)
    assert tuple(row) == (-3.0, True)
