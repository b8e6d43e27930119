"""The connections of one role to one shard: opened when wanted, closed when idle, replaced when broken."""

import asyncio
from collections.abc import Mapping
from typing import Any

from actors.shards.access import PoolLimits
from actors.shards.errors import ShardUnavailableError
from actors.shards.finding import Servers
from actors.shards.session import ShardConnection
from actors.shards.translation import FOREIGN
from kernel.growth import growing_s
from telemetry.log import get_logger

# The server ends what a client that is gone has left behind; a unit's own deadline comes long before.
_SERVER_SETTINGS = {
    "application_name": "spaza shards",
    "jit": "off",
    # A unit's statements reach rows by their keys whatever the values; planning each time costs more than running.
    "plan_cache_mode": "force_generic_plan",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
}
# Between tries to have as many open as are to be kept, while the server is away.
_REFILL_S, _REFILL_LONGEST_S = 1.0, 15.0
_log = get_logger("shards")


class Connections:
    """Owns the connections that one lane works with. For one event loop.

    None is opened before the first use; from then on ``min_idle`` are kept, whatever becomes of them. Who takes one
    gives it back clean, or closes it. The lane takes no more than it may have; that is not checked here.

    Where a new connection leads to another server than the last, which is after a failover, those to that one are given
    out no more.
    """

    def __init__(self, servers: Servers, shard: int, limits: PoolLimits, most: int) -> None:
        self._servers, self._shard, self._limits = servers, shard, limits
        self._server = servers.found
        self._least = min(limits.min_idle, most)
        # The last used stands last and is taken first, so that those that are not needed grow old.
        self._idle: list[tuple[float, ShardConnection]] = []
        self._open: set[ShardConnection] = set()
        self._opening = 0
        self._outdated: set[ShardConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.TimerHandle | None = None
        self._refilling: asyncio.TimerHandle | None = None
        self._closed = False
        self._opened = 0
        # Tries in a row that have found no server.
        self._in_vain = 0

    def statistics(self) -> Mapping[str, int]:
        """Open now, idle of them, and opened in all."""
        self._drop_lost()
        return {"connections": len(self._open), "idle": len(self._idle), "opened": self._opened}

    async def take(self) -> ShardConnection:
        """An idle connection, else a new one.

        Raises:
            ShardUnavailableError: none could be opened within the patience for it.
        """
        self._drop_lost()
        if self._idle:
            return self._idle.pop()[1]
        if self._closed:
            raise ShardUnavailableError(self._shard, "the pool is closed")
        connection = await self._connect()
        if len(self._open) < self._least:
            self._refill_soon(0.0)
        return connection

    def give(self, connection: ShardConnection) -> None:
        """Back, out of any transaction and clean, or closed."""
        self._drop_lost()
        if connection.is_closed():
            return
        if self._closed or connection in self._outdated:
            self._close_soon(connection)
            return
        self._idle.append((self._now(), connection))
        self._tidy_later()

    def renew(self) -> None:
        """Those that are open now are not given out again: they lead to a server that is not the right one any more."""
        self._outdated = set(self._open)
        idle, self._idle = self._idle, []
        for _, connection in idle:
            self._close_soon(connection)

    def close(self) -> None:
        """Open no more, and close those that are idle, and the others as they come back."""
        self._closed = True
        for timer in (self._tidying, self._refilling):
            if timer is not None:
                timer.cancel()
        idle, self._idle = self._idle, []
        for _, connection in idle:
            self._close_soon(connection)

    async def closed(self, timeout_s: float) -> None:
        """After ``close``: wait for the closing; what is in use still is cut, and the rest after so many seconds."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_s)
        for connection in list(self._open):
            connection.terminate()
        for task in list(self._tasks):
            task.cancel()

    async def _connect(self) -> ShardConnection:
        self._opening += 1
        try:
            connection = await self._servers.connect(
                ShardConnection,
                timeout_s=self._limits.connect_s,
                statement_cache_size=self._limits.statements,
                max_cached_statement_lifetime=0,
                max_cacheable_statement_size=64 * 1024,
                server_settings=_SERVER_SETTINGS,
            )
        except TimeoutError as error:  # an OSError too, so before the foreign ones
            raise ShardUnavailableError(self._shard, "no connection in time") from error
        except (*FOREIGN, ValueError) as error:
            raise ShardUnavailableError(self._shard, type(error).__name__) from error
        finally:
            self._opening -= 1
        if self._closed:
            connection.terminate()
            raise ShardUnavailableError(self._shard, "the pool is closed")
        self._opened += 1
        if self._in_vain:
            _log.info("shard_reached_again", shard=self._shard, tries=self._in_vain)
            self._in_vain = 0
        if self._servers.found != self._server:
            self._server = self._servers.found
            _log.info("shard_moved", shard=self._shard, server=self._server)
            self.renew()
        self._open.add(connection)
        connection.add_termination_listener(self._terminated)
        return connection

    def _drop_lost(self) -> None:
        """Forget those of which asyncpg does not tell: that the server ended while nothing was asked on it."""
        for connection in [one for one in self._open if one.is_closed()]:
            # Frees what it holds.
            connection.terminate()
            self._terminated(connection)

    def _terminated(self, connection: Any) -> None:
        self._open.discard(connection)
        self._outdated.discard(connection)
        self._idle = [one for one in self._idle if one[1] is not connection]
        if len(self._open) < self._least:
            self._refill_soon(_REFILL_S)

    def _refill_soon(self, delay_s: float) -> None:
        if not self._closed and self._refilling is None:
            self._refilling = asyncio.get_running_loop().call_later(delay_s, self._refill)

    def _refill(self) -> None:
        self._refilling = None
        self._drop_lost()
        if not self._closed and len(self._open) + self._opening < self._least:
            self._run(self._open_one())

    async def _open_one(self) -> None:
        try:
            self.give(await self._connect())
        except ShardUnavailableError as error:
            if self._closed:
                return
            self._in_vain += 1
            if self._in_vain == 1:
                _log.warning("shard_not_reached", shard=self._shard, reason=error.reason)
        if len(self._open) < self._least:
            self._refill_soon(growing_s(max(1, self._in_vain), _REFILL_S, _REFILL_LONGEST_S))

    def _tidy_later(self) -> None:
        if self._tidying is None and not self._closed and len(self._open) > self._least:
            when = self._idle[0][0] + self._limits.idle_s
            self._tidying = asyncio.get_running_loop().call_at(when, self._tidy)

    def _tidy(self) -> None:
        self._tidying = None
        self._drop_lost()
        too_old = self._now() - self._limits.idle_s
        while self._idle and len(self._open) > self._least and self._idle[0][0] <= too_old:
            _, connection = self._idle.pop(0)
            self._open.discard(connection)
            self._close_soon(connection)
        if self._idle:
            self._tidy_later()

    def _close_soon(self, connection: ShardConnection) -> None:
        def closed(_task: object) -> None:
            # Not if it was cancelled before it had begun.
            if not connection.is_closed():
                connection.terminate()

        self._run(self._close(connection)).add_done_callback(closed)

    async def _close(self, connection: ShardConnection) -> None:
        try:
            await connection.close(timeout=self._limits.rollback_s)
        except (TimeoutError, *FOREIGN):
            connection.terminate()

    def _run(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
