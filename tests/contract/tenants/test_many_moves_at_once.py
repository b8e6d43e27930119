"""More tenants that are to be moved than are moved at once: the others wait, and are as they were until their turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx

from actors.shards.placement import shard_of
from actors.shards.tenant_move import TenantMoves
from cluster.postgres import PostgresServer
from services.tenants.move_ports import Entrance, Move
from tests.contract.tenants.bench import KEY, Bench
from tests.contract.tenants.conftest import MakeBench
from tests.contract.tenants.movers import PATIENT, other_than

_PATIENCE_S = 120.0


class HeldMoves:
    """Opens moves, which go on when they may.

    Attributes:
        opened: tenants, in order; each has two sessions.
        may_go_on: as it says.
    """

    def __init__(self, moves: TenantMoves) -> None:
        self._moves = moves
        self.opened: list[str] = []
        self.may_go_on = asyncio.Event()

    @asynccontextmanager
    async def between(self, tenant_id: str, source: int, target: int) -> AsyncIterator[Move]:
        async with self._moves.between(tenant_id, source, target) as move:
            self.opened.append(tenant_id)
            await self.may_go_on.wait()
            yield move

    def entrance(self, tenant_id: str, shard: int) -> AbstractAsyncContextManager[Entrance]:
        return self._moves.entrance(tenant_id, shard)


async def moved(bench: Bench, tenant: str) -> httpx.Response:
    """How a move ended, which on a busy machine takes longer than a request."""
    while (answer := await bench.post(f"/{tenant}/move", {"shard": other_than(tenant)})).status_code == 202:
        pass
    return answer


async def test_of_many_moves_a_few_go_on_and_one_that_waits_is_shown_and_its_tenant_can_be_given_up(
    server: PostgresServer, make_bench: MakeBench
) -> None:
    moves = HeldMoves(TenantMoves(server.dsn, policy=PATIENT))
    bench = make_bench(server.dsn, KEY, moves=moves)
    *few, waiting, given_up = [(await bench.made())["tenant_id"] for _ in range(6)]

    async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as group:
        asked = {tenant: group.create_task(moved(bench, tenant)) for tenant in few}
        while len(moves.opened) < len(few):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        asked |= {tenant: group.create_task(moved(bench, tenant)) for tenant in (waiting, given_up)}
        while "moving" not in (shown := (await bench.client.get(f"/{given_up}")).json()):
            pass
        begun = list(moves.opened)
        placed = await bench.owners(
            shard_of(given_up), "SELECT move_to FROM spaza.tenant_placement WHERE tenant_id = $1", given_up
        )
        state = (await bench.post(f"/{given_up}/remove")).json()["state"]
        moves.may_go_on.set()
    answers = {tenant: task.result().json() for tenant, task in asked.items()}

    home, there = shard_of(given_up), other_than(given_up)
    assert shown["moving"] == {"from_shard_id": home, "to_shard_id": there, "step": "waiting"}
    assert (sorted(begun), placed, state) == (sorted(few), [(None,)], "removing")
    assert "goes nowhere else" in answers.pop(given_up)["message"]
    assert {tenant: (one["moved"], one["shard_id"]) for tenant, one in answers.items()} == {
        tenant: (True, other_than(tenant)) for tenant in (*few, waiting)
    }
    after = (await bench.client.get(f"/{given_up}")).json()
    assert (after["shard_id"], "moving" in after) == (home, False)
