"""Moves in which something happens at one of their steps, as a failure or a neighbour would have it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from services.tenants.move_ports import Entrance, Move, Moves

Meddle = Callable[[], Awaitable[None]]


class MeddledMoves:
    """Opens moves; once, before or after one of their steps, something is done to them.

    Args:
        moves: that are meddled with.
        step: name of the step.
        before: done before it.
        after: done after it.
    """

    def __init__(self, moves: Moves, step: str, *, before: Meddle | None = None, after: Meddle | None = None) -> None:
        self._moves, self._step, self._before, self._after = moves, step, before, after

    @asynccontextmanager
    async def between(self, tenant_id: str, source: int, target: int) -> AsyncIterator["_MeddledMove"]:
        async with self._moves.between(tenant_id, source, target) as move:
            yield _MeddledMove(move, self.run)

    def entrance(self, tenant_id: str, shard: int) -> AbstractAsyncContextManager[Entrance]:
        return self._moves.entrance(tenant_id, shard)

    async def run(self, name: str, step: Meddle) -> None:
        """Carry out a step, and what is to happen there."""
        before, after = (self._before, self._after) if name == self._step else (None, None)
        if before is not None:
            self._before = None
            await before()
        await step()
        if after is not None:
            self._after = None
            await after()


class _MeddledMove:
    def __init__(self, move: Move, run: Callable[[str, Meddle], Awaitable[None]]) -> None:
        self._move, self._run = move, run

    @property
    def messages(self) -> int:
        return self._move.messages

    @property
    def freeze_ms(self) -> float:
        return self._move.freeze_ms

    @property
    def rows(self) -> int:
        return self._move.rows

    @property
    def rounds(self) -> int:
        return self._move.rounds

    async def copy(self) -> None:
        await self._run("copy", self._move.copy)

    async def freeze(self) -> None:
        await self._run("freeze", self._move.freeze)

    async def open(self) -> None:
        await self._run("open", self._move.open)

    async def finish(self) -> None:
        await self._run("finish", self._move.finish)

    async def undo(self) -> None:
        await self._run("undo", self._move.undo)
