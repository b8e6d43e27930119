"""The messages that wait for a tenant which moves go with it, and say that they may have been delivered before."""

import contextlib

import pytest

from actors.shards.move_errors import MoveFailedError
from actors.shards.placement import shard_of
from tests.contract.tenants.bench import Bench
from tests.contract.tenants.movers import PATIENT, QUEUES, Mover, other_than
from tests.contract.tenants.receivers import receiving


async def test_a_tenant_for_which_too_many_messages_wait_stays_where_it_is(bench: Bench) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    mover = Mover(bench.dsn, PATIENT._replace(most_messages=1))
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
    mover = Mover(bench.dsn, PATIENT._replace(partition_s=0.2))
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


@pytest.mark.parametrize("was_owned", [True, False])
async def test_what_may_be_under_way_on_the_old_shard_is_said_to_be_a_redelivery_on_the_new_one(
    bench: Bench, mover: Mover, was_owned: bool
) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await mover.execute(old, f"DELETE FROM spaza.mailbox_owner WHERE partition = {old}")
    async with contextlib.AsyncExitStack() as stack:
        here = await stack.enter_async_context(receiving(mover.dsn, QUEUES[0], new))
        # Of three keys, so that none waits for another.
        first, second, third = [f"{tenant}-{place}.0" for place in range(3)]
        (await mover.run("write", tenant, old, first)).unwrap()
        if was_owned:
            there = await stack.enter_async_context(receiving(mover.dsn, QUEUES[0], old))
            (await mover.run("write", tenant, old, second)).unwrap()
            # It is with its consumer while its tenant goes.
            assert (await there.next_of(tenant)).message.id == first

        await mover.moving.move(tenant, new)
        (await mover.run("write", tenant, new, third)).unwrap()

        came = [await here.next_of(tenant) for _ in range(3 if was_owned else 2)]

    told = [(one.message.id, one.redelivered, one.attempt) for one in came]
    moved = [(first, True, 1), (second, True, 1)] if was_owned else [(first, False, 1)]
    assert told == [*moved, (third, False, 1)]
