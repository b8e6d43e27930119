"""The moves that this process carries out: who asks again for one joins it, for it may take longer than a request."""

import asyncio
from typing import Final, Protocol

from actors.shards.move_errors import MoveUnderWayError
from services.tenants.move_ports import MoveReport

# For which the report of a move is kept for who comes back for it.
_KEPT_S: Final = 600.0
# And why one failed: for who asks again and again until it is done, not for who tries again later.
_FAILURE_KEPT_S: Final = 30.0


class Mover(Protocol):
    """Moves tenants; ``TenantMoving`` fits."""

    async def move(self, tenant_id: str, shard: int) -> MoveReport:
        """See there."""


class MovesUnderWay:
    """Runs each move as a task of its own, which goes on when who asked for it has gone. For one event loop."""

    def __init__(self, moving: Mover) -> None:
        self._moving = moving
        self._tasks: dict[str, tuple[int, asyncio.Task[MoveReport]]] = {}

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
            task = asyncio.get_running_loop().create_task(self._moving.move(tenant_id, shard))
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
