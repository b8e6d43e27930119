"""The connections of one role to one shard, and the units that wait for them."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import asyncpg

from actors.shards.access import PoolLimits
from actors.shards.attempt import attempt
from actors.shards.backoff import retry_delay_s
from actors.shards.errors import OverloadedError, ShardError, ShardUnavailableError
from actors.shards.session import DirtySessionError, ShardConnection, assert_clean
from actors.shards.transaction import Publisher
from actors.shards.translation import FOREIGN
from actors.shards.unit import UnitCall, UnitFunction, UnitOutcome
from kernel.errors import SpazaError
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
# A connection of its own is not worth it for less.
_UNITS_A_CONNECTION = 2
_SMOOTHING = 0.1
_RETRY_AFTER_MIN_S, _RETRY_AFTER_MAX_S = 0.05, 5.0
_log = get_logger("shards")


class Work(NamedTuple):
    """A unit to be run, with its place in the call it came with, and the tries it has had."""

    position: int
    call: UnitCall
    function: UnitFunction
    tries: int = 0


Outcomes = dict[int, UnitOutcome]


@dataclass(slots=True)
class _Share:
    """The units of one call for this lane, taken by several workers.

    Attributes:
        holding: how many of the workers have a connection.
    """

    waiting: deque[Work]
    deadline: float
    outcomes: Outcomes
    holding: int = 0


class Lane:
    """Runs units of one role on one shard.

    Owns an asyncpg pool, opened on first use. A call's units share a few connections and give them back after some
    units each, so that calls take turns; one call never holds all of them. What waits is bounded. For one event loop.
    """

    def __init__(self, dsn: str, shard: int, connections: int, limits: PoolLimits, publisher: Publisher | None) -> None:
        self._dsn, self._shard, self._connections, self._limits = dsn, shard, connections, limits
        self._publisher = publisher
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()
        self._pending = 0
        self._mean_s = 0.005
        self._counts: Counter[str] = Counter()

    async def run(self, works: Sequence[Work], deadline: float, outcomes: Outcomes) -> None:
        """Run units and put an outcome for each into ``outcomes``, by its position."""
        room = max(0, self._limits.waiting - self._pending)
        for work in works[room:]:
            outcomes[work.position] = self._end(OverloadedError(self._shard, self._retry_after_s()))
        accepted = works[:room]
        self._pending += len(accepted)
        share = _Share(deque(accepted), deadline, outcomes)
        try:
            workers = min(math.ceil(len(accepted) / _UNITS_A_CONNECTION), max(1, self._connections - 1))
            if workers == 1:
                await self._work(share)
            else:
                async with asyncio.TaskGroup() as group:
                    for _ in range(workers):
                        group.create_task(self._work(share))
        finally:
            self._pending -= len(accepted)

    async def aclose(self, timeout_s: float) -> None:
        """Close the connections; those still in use after so many seconds are cut."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    def statistics(self) -> Mapping[str, Any]:
        """Counts since the start, and what is the case now."""
        return {
            **self._counts,
            "pending": self._pending,
            "mean_ms": round(self._mean_s * 1000, 3),
            "connections": 0 if self._pool is None else self._pool.get_size(),
            "idle": 0 if self._pool is None else self._pool.get_idle_size(),
        }

    async def _work(self, share: _Share) -> None:
        while share.waiting:
            work = share.waiting.popleft()
            try:
                borrowed = await self._acquire(share.deadline)
            except ShardError as error:
                if share.holding:
                    # The others get on with fewer connections.
                    share.waiting.appendleft(work)
                    return
                share.outcomes[work.position] = self._end(error)
                continue
            share.holding += 1
            try:
                await self._turn(borrowed.itself(), work, share)
            finally:
                share.holding -= 1
                await self._release(borrowed)

    async def _turn(self, connection: ShardConnection, first: Work, share: _Share) -> None:
        share.waiting.appendleft(first)
        for _ in range(self._limits.turn):
            if not share.waiting or not await self._one(connection, share.waiting.popleft(), share):
                return

    async def _one(self, connection: ShardConnection, work: Work, share: _Share) -> bool:
        """Run one unit. Returns whether the connection can take another."""
        started = perf_counter()
        tried = await attempt(
            connection, work.call, work.function, self._publisher,
            deadline=share.deadline, rollback_s=self._limits.rollback_s,
        )  # fmt: skip
        self._mean_s += _SMOOTHING * (perf_counter() - started - self._mean_s)
        if not tried.again or not await self._wait_to_retry(work, share):
            share.outcomes[work.position] = self._end(tried.outcome.error, tried.outcome)
        return not connection.is_closed() and await self._is_clean(connection)

    async def _wait_to_retry(self, work: Work, share: _Share) -> bool:
        """Put a unit back to be tried again, after a pause. Returns whether it has the tries and the time for it."""
        tries = work.tries + 1
        delay_s = retry_delay_s(tries)
        if tries >= self._limits.attempts or asyncio.get_running_loop().time() + delay_s >= share.deadline:
            return False
        self._counts["retried"] += 1
        await asyncio.sleep(delay_s)
        share.waiting.appendleft(work._replace(tries=tries))
        return True

    async def _is_clean(self, connection: ShardConnection) -> bool:
        try:
            await connection.assert_clean()
        except (DirtySessionError, TimeoutError, *FOREIGN) as error:
            self._counts["unclean"] += 1
            _log.error("session_not_clean", shard=self._shard, reason=str(error))
            connection.terminate()
            return False
        return True

    async def _acquire(self, deadline: float) -> Any:
        try:
            pool = self._pool if self._pool is not None else await self._open()
            async with asyncio.timeout_at(deadline):
                return await pool.acquire()
        except TimeoutError as error:
            if self._pool is not None and self._pool.get_size() >= self._connections:
                raise OverloadedError(self._shard, self._retry_after_s()) from error
            raise ShardUnavailableError(self._shard, "no connection in time") from error
        except FOREIGN as error:
            raise ShardUnavailableError(self._shard, type(error).__name__) from error

    async def _open(self) -> "asyncpg.Pool[Any]":
        async with self._opening:
            if self._pool is None:
                # With no connection to begin with this does not reach for the server.
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=self._connections,
                    max_queries=0x7FFFFFFF,
                    max_inactive_connection_lifetime=self._limits.idle_s,
                    connection_class=ShardConnection,
                    reset=assert_clean,
                    statement_cache_size=self._limits.statements,
                    max_cached_statement_lifetime=0,
                    max_cacheable_statement_size=64 * 1024,
                    timeout=self._limits.connect_s,
                    server_settings=_SERVER_SETTINGS,
                )
            return self._pool

    async def _release(self, borrowed: Any) -> None:
        if self._pool is None:  # closed meanwhile
            return
        try:
            await self._pool.release(borrowed, timeout=self._limits.rollback_s)
        except (DirtySessionError, TimeoutError, *FOREIGN) as error:
            # The pool has thrown the connection away and opens another when one is wanted.
            self._counts["unclean"] += 1
            _log.error("session_not_clean", shard=self._shard, reason=str(error))

    def _end(self, error: SpazaError | None, outcome: UnitOutcome | None = None) -> UnitOutcome:
        self._counts["committed" if error is None else error.code] += 1
        return UnitOutcome(None, (), error) if outcome is None else outcome

    def _retry_after_s(self) -> float:
        estimate_s = self._pending * self._mean_s / self._connections
        return min(_RETRY_AFTER_MAX_S, max(_RETRY_AFTER_MIN_S, estimate_s))
