"""Tenants that move to another shard while they are in use: nothing is lost or doubled, whatever goes wrong."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import pytest

from actors.shards.errors import ShardUnavailableError, TenantMovedError
from actors.shards.move_errors import MoveFailedError, MoveRefusedError, MoveUnderWayError
from actors.shards.move_messages import MOST_MESSAGES
from actors.shards.placement import shard_of
from actors.shards.tenant_move import MovePolicy, TenantMove
from services.tenants.errors import TenantStateError, UnknownTenantError
from tests.contract.tenants.bench import PRODUCT, Bench, number
from tests.contract.tenants.movers import Mover, Writer, other_than


@pytest.fixture
async def mover(bench: Bench) -> AsyncIterator[Mover]:
    mover = Mover(bench.dsn)
    yield mover
    await mover.aclose()


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
    mover = Mover(bench.dsn, MovePolicy(most_messages=MOST_MESSAGES))
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await bench.products(tenant, 2000)
    await mover.counter(tenant, old)

    async with contextlib.AsyncExitStack() as stack:
        # None of them hears of the move; each goes on as if the tenant were where it was.
        writers = [Writer(mover, tenant, old, f"{tenant}-{n}") for n in range(6)]
        for writer in writers:
            await stack.enter_async_context(writer)
        await asyncio.sleep(0.3)
        report = await mover.moving.move(tenant, new)
        await asyncio.sleep(0.3)

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


@pytest.mark.parametrize(
    "planted",
    [
        "UPDATE {schema}.product SET price_minor = price_minor + 1 WHERE sku = 'sku-7'",
        "DELETE FROM {schema}.product WHERE sku = 'sku-7'",
        PRODUCT.replace("generate_series(1, $1::int)", "generate_series(99, 99)"),
        "UPDATE spaza.inbound_message SET kind = 'other' WHERE tenant_id = '{tenant_id}'",
    ],
)
async def test_a_copy_that_is_not_the_same_is_not_flipped_to(
    bench: Bench, mover: Mover, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await bench.products(tenant, 20)
    await mover.receive(tenant, old, 3)
    copy = TenantMove.copy

    async def copy_and_plant(move: TenantMove) -> None:
        await copy(move)
        await mover.execute(new, planted.format(schema=f"tenant_{tenant}", tenant_id=tenant))

    monkeypatch.setattr(TenantMove, "copy", copy_and_plant)

    with pytest.raises(MoveFailedError, match="not the same"):
        await mover.moving.move(tenant, new)

    assert await mover.home(tenant) == old
    assert await mover.move_of(tenant) is None
    assert await mover.leftovers(tenant, new) == []
    assert (await mover.run("write", tenant, old, "bread")).error is None


async def test_two_who_move_a_tenant_at_once_do_not_meet(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    await bench.products(tenant, 500)
    new, other = other_than(tenant), other_than(tenant, 9)

    results = await asyncio.gather(
        *(mover.moving.move(tenant, shard) for shard in (new, new, other)), return_exceptions=True
    )

    assert any(not isinstance(one, BaseException) for one in results)
    assert all(isinstance(one, MoveUnderWayError) for one in results if isinstance(one, BaseException))
    home = await mover.home(tenant)
    assert len(await mover.skus(tenant, home, pattern="sku-%")) == 500
    for shard in {shard_of(tenant), new, other} - {home}:
        assert await mover.leftovers(tenant, shard) == []


async def test_a_migration_and_a_move_of_a_tenant_keep_out_of_each_others_way(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    async with mover.locked(tenant, shard_of(tenant)):
        with pytest.raises(MoveUnderWayError):
            await mover.moving.move(tenant, other_than(tenant))

    assert (await mover.moving.move(tenant, other_than(tenant))).moved


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


async def test_a_tenant_that_is_being_removed_goes_nowhere_and_one_that_moves_is_not_dropped(
    bench: Bench, mover: Mover
) -> None:
    leaving, going = [(await bench.made())["tenant_id"] for _ in range(2)]
    await bench.post(f"/{leaving}/remove")
    with pytest.raises(TenantStateError):
        await mover.moving.move(leaving, other_than(leaving))
    with pytest.raises(UnknownTenantError):
        await mover.moving.move("0" * 32, 3)

    await bench.post(f"/{going}/remove")
    digest = (await bench.export(going))[-1]["digest"]
    await mover.execute(
        shard_of(going),
        "UPDATE spaza.tenant_placement SET move_from = shard, move_to = 1, move_step = 'copying', move_token = 'x'"
        f" WHERE tenant_id = '{going}'",
    )
    answer = await bench.client.delete(f"/{going}", params={"digest": digest})

    assert answer.status_code == 409
    assert (await mover.run("write", going, shard_of(going), "bread")).error is None


async def test_units_that_do_not_end_keep_the_tenant_where_it_is(bench: Bench) -> None:
    tenant = (await bench.made())["tenant_id"]
    mover = Mover(bench.dsn, MovePolicy(drain_s=0.2))
    slow = asyncio.ensure_future(mover.run("dawdle", tenant, shard_of(tenant), 1.5))
    await asyncio.sleep(0.3)

    with pytest.raises(MoveFailedError, match="did not end within"):
        await mover.moving.move(tenant, other_than(tenant))

    assert (await mover.run("write", tenant, shard_of(tenant), "bread")).error is None
    assert (await slow).error is None
    assert await mover.leftovers(tenant, other_than(tenant)) == []
    await mover.aclose()


async def test_a_move_that_is_under_way_or_was_left_is_shown(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await mover.execute(
        old,
        f"UPDATE spaza.tenant_placement SET move_from = {old}, move_to = {new}, move_step = 'copying', move_token = 'x'"
        f" WHERE tenant_id = '{tenant}'",
    )

    left = (await bench.client.get(f"/{tenant}")).json()
    ended = await mover.moving.end_all_left()

    assert left["moving"] == {"from_shard_id": old, "to_shard_id": new, "step": "copying"}
    assert ended >= 1
    assert "moving" not in (await bench.client.get(f"/{tenant}")).json()


async def test_a_new_shard_that_is_away_is_said_and_changes_nothing(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    new = other_than(tenant)
    async with mover.away(new):
        with pytest.raises(ShardUnavailableError):
            await mover.moving.move(tenant, new)

    assert await mover.move_of(tenant) is None
    assert (await mover.run("write", tenant, shard_of(tenant), "bread")).error is None


@pytest.mark.parametrize("step", ["copy", "freeze", "open", "finish"])
async def test_a_session_that_breaks_leads_back_or_on_and_never_in_between(
    bench: Bench, mover: Mover, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await bench.products(tenant, 50)
    whole = getattr(TenantMove, step)

    async def broken(move: TenantMove) -> None:
        for shard in (old, new):
            await mover.execute(
                shard, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'spaza move'"
                " AND datname = current_database()",
            )  # fmt: skip
        monkeypatch.setattr(TenantMove, step, whole)
        await whole(move)

    monkeypatch.setattr(TenantMove, step, broken)
    moved = True
    try:
        await mover.moving.move(tenant, new)
    except MoveFailedError:
        moved = False
    await mover.moving.end_all_left()

    assert moved is (step in {"open", "finish"})
    home, other = (new, old) if moved else (old, new)
    assert await mover.home(tenant) == home
    assert await mover.move_of(tenant) is None
    assert len(await mover.skus(tenant, home, pattern="sku-%")) == 50
    assert await mover.leftovers(tenant, other) == []
    assert (await mover.follow("write", tenant, old, "bread")).error is None


async def test_a_schema_that_is_not_what_its_migrations_make_is_refused(bench: Bench, mover: Mover) -> None:
    tenant = (await bench.made())["tenant_id"]
    await mover.execute(shard_of(tenant), f"ALTER TABLE tenant_{tenant}.product ADD COLUMN stray integer")

    with pytest.raises(MoveRefusedError, match="stray"):
        await mover.moving.move(tenant, other_than(tenant))

    assert await mover.leftovers(tenant, other_than(tenant)) == []
    assert await mover.move_of(tenant) is None


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
    assert [one.status_code for one in refused] == [422, 422, 422]
    assert (await bench.client.get(f"/{tenant}")).json()["shard_id"] == new
    assert ("tenant_move", f"tenant {tenant}", {"shard": new}) in bench.record.begun
    assert any(ended.get("moved") for ended in bench.record.ended)
