"""Rows on their way from one session of a move to the other, when a session is lost."""

import asyncio
from typing import Any

import pytest

from actors.shards.move_side import MoveSide, pump

TENANT = "a" * 32


class SilentConnection:
    """A session whose copy waits for the other side, and does not look whether its server is still there."""

    def __init__(self, *, chunks: int = 0) -> None:
        self.closed = False
        self.chunks = chunks
        self.arrived: list[bytes] = []

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.closed = True

    async def copy_from_query(self, _query: str, *_arguments: Any, output: Any, **_format: Any) -> None:
        for number in range(self.chunks):
            await output(b"%d" % number)

    async def copy_to_table(self, _table: str, *, source: Any, **_format: Any) -> None:
        self.arrived = [chunk async for chunk in source]


class Stuck(SilentConnection):
    async def copy_from_query(self, *_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    async def copy_to_table(self, *_: Any, **__: Any) -> None:
        await asyncio.Event().wait()


def _side(connection: Any, shard: int) -> MoveSide:
    return MoveSide(connection, TENANT, shard)


async def test_all_that_is_read_arrives_and_nobody_watches_on() -> None:
    target = SilentConnection()

    await pump(_side(SilentConnection(chunks=20), 1), "SELECT", (), _side(target, 2), "t")

    assert target.arrived == [b"%d" % number for number in range(20)]
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("lost", [0, 1], ids=["source", "target"])
async def test_a_copy_whose_session_is_lost_ends_though_it_waits_for_the_other_side(
    lost: int,
) -> None:
    connections = [Stuck(), Stuck()]
    asyncio.get_running_loop().call_soon(setattr, connections[lost], "closed", True)

    async with asyncio.timeout(60.0):
        with pytest.raises(ExceptionGroup) as caught:
            await pump(_side(connections[0], 1), "SELECT", (), _side(connections[1], 2), "t", look_s=0)

    assert [type(one) for one in caught.value.exceptions] == [ConnectionResetError]
    assert all(one.closed for one in connections)
