"""A move that takes longer than a request is joined by who asks again."""

import asyncio

import pytest

from actors.shards.move_errors import MoveFailedError, MoveUnderWayError
from services.tenants.move_ports import MoveReport
from services.tenants.moves_under_way import MovesUnderWay

TENANT = "0" * 31 + "1"


class Moving:
    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.looked_at: list[tuple[str, int]] = []
        self.sees: MoveReport | None = None
        self.began = asyncio.Event()
        self.ends: asyncio.Future[MoveReport] = asyncio.get_running_loop().create_future()

    async def look(self, tenant_id: str, shard: int) -> MoveReport | None:
        self.looked_at.append((tenant_id, shard))
        return self.sees

    async def move(self, tenant_id: str, shard: int) -> MoveReport:
        self.asked.append((tenant_id, shard))
        self.began.set()
        return await self.ends


def report(shard: int) -> MoveReport:
    return MoveReport(TENANT, 1, shard, 2, moved=True)


async def test_who_asks_again_joins_the_move_and_gets_its_report() -> None:
    moving = Moving()
    moves = MovesUnderWay(moving)

    first = await moves.move(TENANT, 5, patience_s=0.0)
    moving.ends.set_result(report(5))
    second = await moves.move(TENANT, 5, patience_s=5.0)

    assert (first, second) == (None, report(5))
    assert moving.asked == [(TENANT, 5)]


async def test_who_wants_it_elsewhere_is_refused_while_it_is_moved() -> None:
    moving = Moving()
    moves = MovesUnderWay(moving)
    await moves.move(TENANT, 5, patience_s=0.0)

    with pytest.raises(MoveUnderWayError):
        await moves.move(TENANT, 6, patience_s=0.0)

    moving.ends.set_result(report(5))
    await moves.move(TENANT, 5, patience_s=5.0)


async def test_who_wants_it_elsewhere_once_it_was_moved_has_it_moved_again() -> None:
    moving = Moving()
    moves = MovesUnderWay(moving)
    await moves.move(TENANT, 5, patience_s=0.0)
    moving.ends.set_result(report(5))
    await asyncio.sleep(0)

    await moves.move(TENANT, 6, patience_s=5.0)

    assert moving.asked == [(TENANT, 5), (TENANT, 6)]


async def test_who_wants_it_elsewhere_after_a_failure_hears_nothing_of_that() -> None:
    moving = Moving()
    moves = MovesUnderWay(moving)
    await moves.move(TENANT, 5, patience_s=0.0)
    moving.ends.set_exception(MoveFailedError(TENANT, "no"))
    await asyncio.sleep(0)
    moving.ends = asyncio.get_running_loop().create_future()
    moving.ends.set_result(report(6))

    assert await moves.move(TENANT, 6, patience_s=5.0) == report(6)


async def test_a_failure_is_said_and_the_next_move_is_another() -> None:
    moving = Moving()
    moves = MovesUnderWay(moving)
    moving.ends.set_exception(MoveFailedError(TENANT, "no"))

    for _ in range(2):
        with pytest.raises(MoveFailedError):
            await moves.move(TENANT, 5, patience_s=5.0)

    assert len(moving.asked) == 2


async def test_a_caller_that_goes_leaves_the_move_alone() -> None:
    moving = Moving()
    moves = MovesUnderWay(moving)
    caller = asyncio.ensure_future(moves.move(TENANT, 5, patience_s=60.0))
    await moving.began.wait()
    caller.cancel()
    await asyncio.wait({caller})

    moving.ends.set_result(report(5))

    assert await moves.move(TENANT, 5, patience_s=5.0) == report(5)
    assert len(moving.asked) == 1


OTHERS = [f"{number:032x}" for number in range(2, 6)]


async def test_only_a_few_are_moved_at_once_and_who_waits_has_its_turn_in_order() -> None:
    moving = Moving()
    moves = MovesUnderWay(moving, at_once=2)
    answers = [await moves.move(tenant, 5, patience_s=0.0) for tenant in (TENANT, *OTHERS)]
    begun = list(moving.asked)
    waiting = [tenant for tenant in (TENANT, *OTHERS) if moves.waits_for(tenant) == 5]

    moving.ends.set_result(report(5))
    ended = [await moves.move(tenant, 5, patience_s=5.0) for tenant in (TENANT, *OTHERS)]

    assert answers == [None] * 5
    assert begun == [(TENANT, 5), (OTHERS[0], 5)]
    assert waiting == OTHERS[1:]
    assert moving.looked_at == [(tenant, 5) for tenant in OTHERS[1:]]
    assert ended == [report(5)] * 5
    assert moving.asked == [(tenant, 5) for tenant in (TENANT, *OTHERS)]
    assert [moves.waits_for(tenant) for tenant in (TENANT, *OTHERS)] == [None] * 5


async def test_who_has_nothing_to_move_waits_for_no_turn() -> None:
    moving = Moving()
    moves = MovesUnderWay(moving, at_once=1)
    await moves.move(TENANT, 5, patience_s=0.0)
    moving.sees = report(6)

    assert await moves.move(OTHERS[0], 6, patience_s=5.0) == report(6)

    assert moving.asked == [(TENANT, 5)]
    moving.ends.set_result(report(5))
    await moves.move(TENANT, 5, patience_s=5.0)


async def test_a_move_that_fails_gives_its_turn_to_the_next() -> None:
    moving = Moving()
    moves = MovesUnderWay(moving, at_once=1)
    await moves.move(TENANT, 5, patience_s=0.0)
    await moves.move(OTHERS[0], 5, patience_s=0.0)
    failed, moving.ends = moving.ends, asyncio.get_running_loop().create_future()
    moving.ends.set_result(report(5))

    failed.set_exception(MoveFailedError(TENANT, "no"))

    assert await moves.move(OTHERS[0], 5, patience_s=5.0) == report(5)
    with pytest.raises(MoveFailedError):
        await moves.move(TENANT, 5, patience_s=5.0)
