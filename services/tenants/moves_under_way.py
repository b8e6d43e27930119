"""The moves that this process carries out: who asks again for one joins it, for it may take longer than a request."""

import asyncio
from typing import Final, Protocol

from actors.shards.move_errors import MoveUnderWayError
from services.tenants.move_ports import MoveReport

# For which the report of a move is kept for who comes back for it.
_KEPT_S: Final = 600.0
# And why one failed: for who asks again and again until it is done, not for who tries again later.
_FAILURE_KEPT_S: Final = 30.0
# Each has two sessions of the owner's, who may take even those that PostgreSQL keeps back, and reads and writes all
# rows of a tenant twice. More at once end no sooner, freeze for longer, and take the connections from customers.
_AT_ONCE: Final = 4


class Mover(Protocol):
    """Moves tenants; ``TenantMoving`` fits."""

    async def look(self, tenant_id: str, shard: int) -> MoveReport | None:
        """See there."""

    async def move(self, tenant_id: str, shard: int) -> MoveReport:
        """See there."""


class MovesUnderWay:
    """Runs each move as a task of its own, which goes on when who asked for it has gone. For one event loop.

    A few are carried out at once. The others wait for their turn, in the order in which they were asked for: of them
    nothing stands in the databases, so that of a crash nothing is left, and the tenant may be given up meanwhile.
    """

    def __init__(self, moving: Mover, *, at_once: int = _AT_ONCE) -> None:
        self._moving = moving
        self._turns = asyncio.Semaphore(at_once)
        self._tasks: dict[str, tuple[int, asyncio.Task[MoveReport]]] = {}
        self._waiting: dict[str, int] = {}

    async def move(self, tenant_id: str, shard: int, *, patience_s: float) -> MoveReport | None:
        """Begin a move or join it.

        Args:
            tenant_id: of the tenant.
            shard: where it is to live.
            patience_s: after which the answer is that it is still under way.

        Returns:
            What was done; None if that is not known yet.

        Raises:
            SpazaError: as ``TenantMoving.move``, and ``MoveUnderWayError`` if it is just moved to another shard.
        """
        under_way = self._tasks.get(tenant_id)
        if under_way is not None and under_way[0] != shard and under_way[1].done():
            # Nobody is to wait for a move that has ended.
            self._forget(tenant_id, under_way[1])
            under_way = None
        if under_way is None:
            task = asyncio.get_running_loop().create_task(self._in_turn(tenant_id, shard))
            self._tasks[tenant_id] = (shard, task)
            task.add_done_callback(lambda _: self._forget_later(tenant_id, task))
        else:
            where, task = under_way
            if where != shard:
                raise MoveUnderWayError(tenant_id, f"it is being moved to shard {where}; come again")
        done, _ = await asyncio.wait({task}, timeout=patience_s)
        if not done:
            return None
        self._forget(tenant_id, task)
        return task.result()

    def waits_for(self, tenant_id: str) -> int | None:
        """The shard to which a tenant is to go when its move has its turn; None if none of it waits."""
        return self._waiting.get(tenant_id)

    async def _in_turn(self, tenant_id: str, shard: int) -> MoveReport:
        if self._turns.locked():
            # Who cannot be moved is told so at once, and what a mover that died has left is not to wait.
            report = await self._moving.look(tenant_id, shard)
            if report is not None:
                return report
        self._waiting[tenant_id] = shard
        try:
            await self._turns.acquire()
        finally:
            del self._waiting[tenant_id]
        try:
            return await self._moving.move(tenant_id, shard)
        finally:
            self._turns.release()

    def _forget_later(self, tenant_id: str, task: "asyncio.Task[MoveReport]") -> None:
        failed = task.cancelled() or task.exception() is not None
        kept_s = _FAILURE_KEPT_S if failed else _KEPT_S
        asyncio.get_running_loop().call_later(kept_s, self._forget, tenant_id, task)

    def _forget(self, tenant_id: str, task: "asyncio.Task[MoveReport]") -> None:
        if self._tasks.get(tenant_id, (0, None))[1] is task:
            del self._tasks[tenant_id]
            if not task.cancelled():
                # Whoever asked has gone, and what went wrong was logged.
                task.exception()
