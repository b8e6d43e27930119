"""Moves that go wrong or come at a wrong time: the tenant is whole where it was, or where it goes."""

import asyncio
import contextlib
import os
import signal

import pytest

from actors.shards.errors import ShardUnavailableError, TenantMovedError
from actors.shards.move_errors import MoveFailedError, MoveRefusedError, MoveUnderWayError
from actors.shards.placement import shard_of
from kernel.identifiers import new_id
from services.tenants.errors import TenantStateError, UnknownTenantError
from tests.contract.tenants.bench import PRODUCT, Bench
from tests.contract.tenants.movers import PATIENT, Mover, Stay, other_than


@pytest.mark.parametrize(
    "planted",
    [
        "UPDATE {schema}.product SET price_minor = price_minor + 1 WHERE sku = 'sku-7'",
        "DELETE FROM {schema}.product WHERE sku = 'sku-7'",
        PRODUCT.replace("generate_series(1, $1::int)", "generate_series(99, 99)"),
        "UPDATE spaza.inbound_message SET kind = 'other' WHERE tenant_id = '{tenant_id}'",
    ],
)
async def test_a_copy_that_is_not_the_same_is_not_flipped_to(bench: Bench, mover: Mover, planted: str) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await bench.products(tenant, 20)
    await mover.receive(tenant, old, 3)

    async def plant() -> None:
        await mover.execute(new, planted.format(schema=f"tenant_{tenant}", tenant_id=tenant))

    with pytest.raises(MoveFailedError, match="not the same"):
        await mover.meddled("copy", after=plant).move(tenant, new)

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
    mover, stay = Mover(bench.dsn, PATIENT._replace(drain_s=0.2)), Stay()
    slow = asyncio.ensure_future(mover.run("dawdle", tenant, shard_of(tenant), stay))
    await stay.begun.wait()

    with pytest.raises(MoveFailedError, match="did not end within"):
        await mover.moving.move(tenant, other_than(tenant))

    assert (await mover.run("write", tenant, shard_of(tenant), "bread")).error is None
    stay.may_end.set()
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
    bench: Bench, mover: Mover, step: str
) -> None:
    tenant = (await bench.made())["tenant_id"]
    old, new = shard_of(tenant), other_than(tenant)
    await bench.products(tenant, 50)

    async def break_sessions() -> None:
        for shard in (old, new):
            await mover.execute(
                shard, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'spaza move'"
                " AND datname = current_database()",
            )  # fmt: skip

    moved = True
    try:
        await mover.meddled(step, before=break_sessions).move(tenant, new)
    except MoveFailedError:
        moved = False
    await mover.end_left(tenant)

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


@pytest.mark.parametrize(("step", "moved"), [("freeze", False), ("open", True)])
async def test_nobody_waits_for_the_shard_where_the_tenant_does_not_live(
    bench: Bench, mover: Mover, step: str, moved: bool
) -> None:
    tenant = (await bench.made())["tenant_id"]
    await bench.products(tenant, 50)
    # Neither of the two has its placement.
    old, new = other_than(tenant, 3), other_than(tenant)
    home, other = (new, old) if moved else (old, new)
    await mover.moving.move(tenant, old)
    (await mover.run("write", tenant, old, f"{tenant}.0")).unwrap()
    async with contextlib.AsyncExitStack() as stack:

        async def go_away() -> None:
            await stack.enter_async_context(mover.away(other))

        moving = mover.meddled(step, before=go_away)
        if moved:
            assert (await moving.move(tenant, new)).moved
        else:
            with pytest.raises(MoveFailedError):
                await moving.move(tenant, new)

        assert (await mover.run("write", tenant, home, f"{tenant}.1")).error is None
        assert await mover.move_of(tenant) == ("flipped" if moved else "undoing")

    await mover.end_left(tenant)

    assert await mover.home(tenant) == home
    assert await mover.leftovers(tenant, other) == []
    assert await mover.skus(tenant, home) == sorted(await mover.waiting(tenant, home))
    assert len(await mover.skus(tenant, home, pattern="sku-%")) == 50


@pytest.mark.parametrize("flipped", [False, True])
async def test_who_looks_after_left_moves_lets_a_tenant_in_that_nobody_can_enter_while_the_other_shard_is_away(
    bench: Bench, mover: Mover, flipped: bool
) -> None:
    tenant = (await bench.made())["tenant_id"]
    # Neither of the two has its placement.
    old, new = other_than(tenant, 3), other_than(tenant)
    home, other = (new, old) if flipped else (old, new)
    await mover.moving.move(tenant, old)
    async with mover.moves.between(tenant, old, new) as move:
        await move.copy()
        await move.freeze()
    step = "flipped" if flipped else "copying"
    await mover.execute(
        shard_of(tenant),
        f"UPDATE spaza.tenant_placement SET move_from = {old}, move_to = {new}, move_token = 'x', shard = {home},"
        f" move_step = '{step}' WHERE tenant_id = '{tenant}'",
    )
    closed = (await mover.run("write", tenant, home, "bread")).error

    async with mover.away(other), asyncio.timeout(60.0):
        await mover.moving.end_all_left()
        while (await mover.run("write", tenant, home, "bread")).error is not None:
            await mover.moving.end_all_left()
    await mover.end_left(tenant)

    assert isinstance(closed, TenantMovedError)
    assert await mover.leftovers(tenant, other) == []
    assert await mover.skus(tenant, home) == ["bread"]


async def test_a_server_that_hangs_in_the_freeze_does_not_keep_the_tenant_from_being_served(bench: Bench) -> None:
    tenant = (await bench.made())["tenant_id"]
    mover, stay = Mover(bench.dsn, PATIENT._replace(freeze_s=3.0)), Stay()
    old, new = shard_of(tenant), other_than(tenant)
    # The freeze waits for it, and so can be seen.
    slow = asyncio.ensure_future(mover.run("dawdle", tenant, old, stay))
    await stay.begun.wait()
    moving = asyncio.ensure_future(mover.moving.move(tenant, new))
    async with asyncio.timeout(60.0):
        while not isinstance((await mover.run("write", tenant, old, new_id())).error, TenantMovedError):
            pass
    hung = await mover.sessions(new)
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    stay.may_end.set()
    try:
        # It hangs for as long as this takes.
        async with asyncio.timeout(60.0):
            while (await mover.run("write", tenant, old, "bread")).error is not None:
                pass
    finally:
        for pid in hung:
            os.kill(pid, signal.SIGCONT)
    assert (await slow).error is None
    with pytest.raises(MoveFailedError):
        await moving
    await mover.end_left(tenant)

    assert len(hung) == 1
    assert await mover.leftovers(tenant, new) == []
    await mover.aclose()
