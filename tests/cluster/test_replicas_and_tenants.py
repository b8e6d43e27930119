"""Tenants on replicated servers: moved over promotions, and listed from standbys."""

import signal
import time
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from actors.shards.errors import ShardUnavailableError
from actors.shards.placement import shard_of
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome, UnitRunner
from cluster.replicas.replicated_postgres import ReplicatedPostgres
from kernel.identifiers import new_id
from services.tenants.listing import TenantListing
from tests.cluster.replicated import Load, all_follow, replicated, says, until
from tests.contract.shards.conftest import KEY, SHARD
from tests.contract.tenants.movers import Mover

pytestmark = pytest.mark.asyncio(loop_scope="module")
OTHER = 20
_RENAMED = "UPDATE spaza.tenant_placement SET name = '{}' WHERE tenant_id = '{}' RETURNING name"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicatedPostgres]:
    async with replicated(tmp_path_factory.mktemp("rt"), 2) as servers:
        await set_up_shards(servers.dsn, KEY, shards=[SHARD, OTHER])
        yield servers


@pytest_asyncio.fixture(loop_scope="module")
async def placed(postgres: ReplicatedPostgres) -> AsyncIterator[Load]:
    """Writers of a tenant that the directory knows."""
    tenant_id = new_id()
    while shard_of(tenant_id) != SHARD:
        tenant_id = new_id()
    await TenantSchemas(postgres.dsn).create(tenant_id, SHARD)
    placed = "INSERT INTO spaza.tenant_placement (tenant_id, name, shard, phone_numbers)"
    await says(postgres.primary, f"{placed} VALUES ('{tenant_id}', '', {SHARD}, '{{1}}') RETURNING tenant_id")
    writing = Load(postgres.dsn, tenant_id)
    yield writing
    await writing.aclose()


async def test_a_tenant_moves_right_after_a_promotion_and_over_one_in_the_middle_of_its_move(
    postgres: ReplicatedPostgres, placed: Load
) -> None:
    await until(lambda: all_follow(postgres), 240)
    mover = Mover(postgres.dsn)

    async def replace_primary() -> None:
        assert postgres.primary.process is not None
        postgres.primary.process.send_signal(signal.SIGKILL)
        await postgres.promote()

    async with placed:
        await until(lambda: placed.confirmed_after(0), 120)
        await replace_primary()
        away = await mover.moving.move(placed.tenant_id, OTHER)
        moved_at = time.monotonic()
        await until(lambda: placed.confirmed_after(moved_at), 120)
        await until(lambda: all_follow(postgres), 240)

        back = await mover.meddled("open", before=replace_primary).move(placed.tenant_id, SHARD)
        moved_at = time.monotonic()
        await until(lambda: placed.confirmed_after(moved_at), 120)
    await mover.moving.end_all_left()

    there = await placed.rows()
    assert (away.moved, away.shard, back.moved, back.shard) == (True, OTHER, True, SHARD)
    assert placed.confirmed.keys() <= there
    assert not placed.refused & there
    seen = Mover(postgres.primary.dsn)
    assert await seen.home(placed.tenant_id) == SHARD
    assert await seen.move_of(placed.tenant_id) is None
    assert await seen.leftovers(placed.tenant_id, OTHER) == []
    await mover.aclose()


class _OfTwoShards:
    """Runs units where there are shards."""

    def __init__(self, runner: UnitRunner) -> None:
        self._runner = runner

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        there = [call for call in calls if call.shard in {SHARD, OTHER}]
        found = iter(await self._runner.run(there, timeout_s=timeout_s))
        gone = [UnitOutcome(None, (), ShardUnavailableError(call.shard, "not there")) for call in calls]
        return [next(found) if call in there else missing for call, missing in zip(calls, gone, strict=True)]


async def test_the_list_of_tenants_comes_from_standbys_as_stale_as_it_may_be(
    postgres: ReplicatedPostgres, placed: Load
) -> None:
    await until(lambda: all_follow(postgres), 240)
    standbys = [one for one in postgres.parts if one is not postgres.primary]
    listing = TenantListing(_OfTwoShards(placed.runner), staleness_s=300.0)

    async def named(staleness_s: float | None = None) -> str:
        page = await listing.page(cursor=None, limit=100, removed_too=False, staleness_s=staleness_s)
        return {one["tenant_id"]: str(one["name"]) for one in page["tenants"]}[placed.tenant_id]

    async def comes_from_a_standby() -> bool:
        return await named() == "old"

    await says(postgres.primary, _RENAMED.format("old", placed.tenant_id))
    old = f"SELECT name FROM spaza.tenant_placement WHERE tenant_id = '{placed.tenant_id}'"

    async def replayed() -> bool:
        return {await says(member, old) for member in standbys} == {"old"}

    await until(replayed, 120)
    # How far the primary was at this moment is what a standby has to have.
    assert await named() == "old"
    for member in standbys:
        await says(member, "SELECT pg_wal_replay_pause()::text")
    try:
        await says(postgres.primary, _RENAMED.format("new", placed.tenant_id))

        await until(comes_from_a_standby, 120)
        assert await named(0) == "new"
    finally:
        for member in standbys:
            await says(member, "SELECT pg_wal_replay_resume()::text")
