"""Tenants that move to another shard while they are in use: nothing is lost or doubled."""

import asyncio
import contextlib
import itertools

from actors.shards.errors import TenantMovedError
from actors.shards.move_messages import MOST_MESSAGES
from actors.shards.placement import shard_of
from tests.contract.tenants.bench import Bench, number
from tests.contract.tenants.movers import PATIENT, Mover, Writer, other_than


async def test_a_tenant_moves_with_all_its_rows_and_is_served_there_alone(bench: Bench, mover: Mover) -> None:
    phone = number()
    tenant = (await bench.made(phone))["tenant_id"]
    await bench.products(tenant, 500)
    await mover.receive(tenant, shard_of(tenant), 50)
    old, new = shard_of(tenant), other_than(tenant)
    before = await mover.contents(tenant, old)

    report = await mover.moving.move(tenant, new)

    assert report.moved
    assert (report.source, report.shard, report.epoch) == (old, new, 2)
    assert report.rows == sum(map(len, before.values())) == 551
    assert await mover.contents(tenant, new) == before
    assert await mover.leftovers(tenant, old) == []
    found = await bench.directory.by_phone(phone)
    assert found is not None
    assert (found.shard, found.epoch) == (new, 2)
    assert await mover.move_of(tenant) is None


async def test_a_move_under_load_loses_and_doubles_nothing_and_keeps_the_order_of_each_key(bench: Bench) -> None:
    # Nothing is delivered here, so that all messages wait.
    mover = Mover(bench.dsn, PATIENT._replace(most_messages=MOST_MESSAGES))
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await bench.products(tenant, 2000)
    await mover.counter(tenant, old)

    async with contextlib.AsyncExitStack() as stack:
        # None of them hears of the move; each goes on as if the tenant were where it was.
        writers = [Writer(mover, tenant, old, f"{tenant}-{n}") for n in range(6)]
        for writer in writers:
            await stack.enter_async_context(writer)
        await asyncio.gather(*(writer.goes_on() for writer in writers))
        report = await mover.moving.move(tenant, new)
        await asyncio.gather(*(writer.goes_on() for writer in writers))

    written = sorted(itertools.chain.from_iterable(writer.written for writer in writers))
    assert report.moved
    assert mover.runner.followed > 0
    assert [failure for writer in writers for failure in writer.failures] == []
    assert await mover.skus(tenant, new) == written
    assert await mover.counted(tenant, new) == len(written)
    assert await mover.leftovers(tenant, old) == []
    waiting = await mover.waiting(tenant, new)
    assert sorted(waiting) == written
    for writer in writers:
        assert [one for one in waiting if one.startswith(f"{writer.name}.")] == writer.written
    await mover.aclose()


async def test_who_comes_to_the_old_shard_is_refused_and_finds_the_new_one_by_itself(
    bench: Bench, mover: Mover
) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await mover.moving.move(tenant, new)

    stale = await mover.run("write", tenant, old, "bread")
    following = await mover.follow("write", tenant, old, f"{tenant}.milk")

    assert isinstance(stale.error, TenantMovedError)
    assert stale.error.retryable
    assert following.error is None
    assert [row.queue for row in following.published] == ["notifications.whatsapp"]
    assert await mover.skus(tenant, new) == [f"{tenant}.milk"]


async def test_who_comes_too_early_to_the_new_shard_is_refused_too(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    async with mover.moves.between(tenant, old, new) as move:
        await move.copy()

        early = await mover.run("write", tenant, new, "bread")

        assert isinstance(early.error, TenantMovedError)
        assert (await mover.run("write", tenant, old, "bread")).error is None
        await move.undo()
    assert await mover.leftovers(tenant, new) == []


async def test_what_was_changed_and_deleted_while_it_was_copied_is_so_in_the_copy(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await bench.products(tenant, 300)
    async with mover.moves.between(tenant, old, new) as move:
        await move.copy()
        for statement in (
            "DELETE FROM {schema}.product WHERE sku LIKE 'sku-1%'",
            "UPDATE {schema}.product SET name = 'changed' WHERE sku LIKE 'sku-2%'",
            "UPDATE {schema}.profile SET waba_id = NULL",
        ):
            (await mover.run("execute", tenant, old, statement)).unwrap()
        expected = await mover.contents(tenant, old)

        await move.freeze()

        assert await mover.contents(tenant, new) == expected
        await move.undo()


async def test_values_that_customers_exchange_while_they_are_copied_collide_with_nothing(
    bench: Bench, mover: Mover
) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    row = (
        "INSERT INTO {schema}.conversation (id, phone, stage, last_inbound_at, created_at, updated_at)"
        " VALUES ('a', '271', 'new', now(), now(), now()), ('b', '272', 'new', now(), now(), now())"
    )
    (await mover.run("execute", tenant, old, row)).unwrap()
    async with mover.moves.between(tenant, old, new) as move:
        await move.copy()
        for phone, name in (("NULL", "a"), ("'271'", "b"), ("'272'", "a")):
            change = f"UPDATE {{schema}}.conversation SET phone = {phone} WHERE id = '{name}'"
            (await mover.run("execute", tenant, old, change)).unwrap()
        expected = await mover.contents(tenant, old)

        await move.freeze()

        assert await mover.contents(tenant, new) == expected
        await move.undo()


async def test_a_move_to_where_it_lives_changes_nothing(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]

    report = await mover.moving.move(tenant, shard_of(tenant))

    assert (report.moved, report.shard, report.epoch) == (False, shard_of(tenant), 1)


async def test_a_suspended_tenant_moves_and_stays_suspended(bench: Bench, mover: Mover) -> None:
    phone = number()
    tenant = (await bench.made(phone))["tenant_id"]
    await bench.post(f"/{tenant}/suspend")

    await mover.moving.move(tenant, other_than(tenant))

    found = await bench.directory.by_phone(phone)
    assert found is not None
    assert (found.state, found.shard) == ("suspended", other_than(tenant))


async def test_the_api_moves_a_tenant_and_records_who_had_it_moved(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    new = other_than(tenant)

    answer = await bench.post(f"/{tenant}/move", {"shard": new})
    again = await bench.post(f"/{tenant}/move", {"shard": new})
    refused = [await bench.post(f"/{tenant}/move", document) for document in ({}, {"shard": 32}, {"shard": "x"})]

    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["success"], document["moved"], document["shard_id"]) == (True, True, new)
    assert document["freeze_ms"] > 0
    assert again.json()["moved"] is False
    assert [one.status_code for one in refused] == [400, 400, 400]
    assert (await bench.client.get(f"/{tenant}")).json()["shard_id"] == new
    assert ("tenant_move", f"tenant {tenant}", {"shard": new}) in bench.record.begun
    assert any(ended.get("moved") for ended in bench.record.ended)
