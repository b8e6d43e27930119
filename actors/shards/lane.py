"""The units of one role on one shard: they wait, fairly among tenants, for a few hands with a connection each."""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from actors.shards.access import PoolLimits
from actors.shards.attempt import Attempt, Ending
from actors.shards.backoff import retry_delay_s
from actors.shards.connections import Connections
from actors.shards.errors import (
    CommitUnknownError,
    OverloadedError,
    ShardError,
    ShardUnavailableError,
    UnitFailedError,
)
from actors.shards.fair_queue import FairQueue
from actors.shards.finding import Servers
from actors.shards.patience import Patience
from actors.shards.session import DirtySessionError, ShardConnection
from actors.shards.transaction import Publisher
from actors.shards.translation import FOREIGN
from actors.shards.unit import UnitOutcome
from actors.shards.waiting_unit import CallOnWay, Outcomes, WaitingUnit, Work
from kernel.errors import SpazaError
from telemetry.log import get_logger

# A connection of its own is not worth it for less, unless what is before it takes so long.
_UNITS_A_HAND, _LOOK_S = 2, 0.02
# While the server gives no more connections than are at work.
_NO_MORE_S = 1.0
_CLOCK_S = 0.001
_log = get_logger("shards")


class Lane:
    """Runs units of one role on one shard.

    Units of all calls wait in one queue. Up to as many hands as there may be connections take from it, each with a
    connection that it keeps from unit to unit; none is free for long while a unit waits that may have it. What waits is
    bounded, for the lane and for each tenant. A unit that still waits at its deadline is given up; one that
    runs is rolled back. For one event loop.
    """

    def __init__(
        self, servers: Servers, shard: int, connections: int, limits: PoolLimits, publisher: Publisher | None
    ) -> None:
        self._shard, self._most, self._limits, self._publisher = shard, connections, limits, publisher
        self._connections = Connections(servers, shard, limits, connections)
        self._queue: FairQueue[WaitingUnit] = FairQueue(connections)
        self._patience = Patience(connections, limits.waiting)
        self._hands: set[asyncio.Task[None]] = set()
        # Those of them that have a connection.
        self._at_work = 0
        self._looking: asyncio.TimerHandle | None = None
        self._no_more_until = 0.0
        self._calls: set[CallOnWay] = set()
        # The longest held first.
        self._held: dict[WaitingUnit, ShardConnection] = {}
        self._counts: Counter[str] = Counter()

    async def run(self, works: Sequence[Work], deadline: float, outcomes: Outcomes) -> None:
        """Run units and put an outcome for each into ``outcomes``, by its position."""
        call = CallOnWay(outcomes)
        self._admit(call, works, deadline)
        if not call.left:
            return
        self._calls.add(call)
        self._watch(call)
        self._wake(math.ceil(len(call.left) / _UNITS_A_HAND))
        try:
            await call.over
        finally:
            self._calls.discard(call)
            if call.timer is not None:
                call.timer.cancel()
            if call.left:  # who called has gone; what runs is let end
                self._queue.remove(call.left)
                self._patience.gone([unit.party for unit in call.left])
                call.left.clear()

    async def aclose(self, timeout_s: float) -> None:
        """Close the connections; those still in use after so many seconds are cut."""
        self._connections.close()
        if self._looking is not None:
            self._looking.cancel()
        if self._hands:
            await asyncio.wait(self._hands, timeout=timeout_s)
        await self._connections.closed(timeout_s)

    def statistics(self) -> Mapping[str, Any]:
        """Counts since the start, and what is the case now."""
        return {
            **self._counts,
            "pending": self._patience.pending,
            "parties": self._queue.parties,
            "mean_ms": round(self._patience.mean_s * 1000, 3),
            **self._connections.statistics(),
        }

    def _admit(self, call: CallOnWay, works: Sequence[Work], deadline: float) -> None:
        now = asyncio.get_running_loop().time()
        refused: Counter[Any] = Counter()
        for work in works:
            within_s = work.call.timeout_s
            unit = WaitingUnit(work, call, now, deadline if within_s is None else min(deadline, now + within_s))
            if self._patience.admits(unit.party):
                call.left[unit] = None
                self._queue.put(unit)
            else:
                refused[unit.party] += 1
                self._finish(unit, self._overloaded(unit, refused[unit.party]))

    def _overloaded(self, unit: WaitingUnit, places: int) -> OverloadedError:
        now = asyncio.get_running_loop().time()
        oldest = next(iter(self._held), None)
        # What has waited in vain for long would wait for as long again.
        blocked_s = max(now - unit.arrived, 0.0 if oldest is None else now - oldest.started)
        return OverloadedError(self._shard, self._patience.retry_after_s(unit.party, places, blocked_s))

    def _wake(self, wanted: int) -> None:
        for _ in range(min(wanted, len(self._queue), self._most - len(self._hands))):
            hand = asyncio.get_running_loop().create_task(self._hand())
            self._hands.add(hand)
            hand.add_done_callback(self._hand_ended)
        if self._looking is None and len(self._queue):
            self._looking = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        """Let another hand come for what waits behind units that take long, for it may be another tenant's."""
        self._looking = None
        none_comes = self._at_work == len(self._hands) < self._most
        more = asyncio.get_running_loop().time() >= self._no_more_until
        self._wake(int(none_comes and more and self._queue.has_next()))

    def _hand_ended(self, hand: "asyncio.Task[None]") -> None:
        self._hands.discard(hand)
        if not hand.cancelled() and (error := hand.exception()) is not None:
            _log.error("shard_hand_failed", shard=self._shard, exc_info=error)
        if not self._hands:
            # What was put in while it was ending.
            self._wake(1)

    async def _hand(self) -> None:
        """Take a connection and run units on it, until none waits that may have it."""
        while self._queue.has_next():
            try:
                connection = await self._connections.take()
            except ShardError as error:
                if not self._at_work:
                    self._nothing_goes(error)
                # Else the others get on with fewer connections.
                self._no_more_until = asyncio.get_running_loop().time() + _NO_MORE_S
                return
            self._at_work += 1
            try:
                is_lost = await self._units(connection)
            except BaseException as error:
                connection.terminate()
                self._dropped(connection, error)
                raise
            finally:
                self._at_work -= 1
                self._connections.give(connection)
            if not is_lost:
                return

    async def _units(self, connection: ShardConnection) -> bool:
        """Run units on a connection; returns whether it was lost, and there may be more to do with another."""
        begun: tuple[WaitingUnit, Attempt] | None = None
        while True:
            if begun is None:
                taken = self._take(connection)
                if taken is None:
                    return False
                unit, attempt = taken
                ending = await attempt.begin()
            else:
                (unit, attempt), begun, ending = begun, None, None
            if ending is None:
                ending = await attempt.work()
            self._put_down(unit)
            if ending is None:
                ending, begun = await self._commit(connection, attempt)
            is_lost = begun is None and not await self._is_clean(connection)
            if ending.elsewhere:
                self._connections.renew()
            self._end(unit, ending)
            if is_lost:
                return True

    async def _commit(
        self, connection: ShardConnection, attempt: Attempt
    ) -> tuple[Ending, tuple[WaitingUnit, Attempt] | None]:
        """Commit, and begin the next unit in the same round trip where one waits and may follow."""
        taken = self._take(connection) if attempt.may_be_followed else None
        if taken is None:
            return await attempt.commit(), None
        unit, following = taken
        if not attempt.may_be_followed_by(following):
            self._put_back(unit)
            return await attempt.commit(), None
        ending, refused = await attempt.commit_and_begin(following)
        if refused is None:
            return ending, taken
        self._put_down(unit)
        self._end(unit, refused)
        return ending, None

    def _take(self, connection: ShardConnection) -> tuple[WaitingUnit, Attempt] | None:
        while (unit := self._queue.take(self._patience.mean_s)) is not None:
            unit.expected_s, unit.started = self._patience.mean_s, asyncio.get_running_loop().time()
            unit.is_held = unit.is_counted = True
            self._held[unit] = connection
            try:
                return unit, Attempt(
                    connection,
                    unit.call,
                    unit.function,
                    self._publisher,
                    unit.deadline,
                    self._limits.rollback_s,
                    unit.position_needed,
                )
            except SpazaError as error:
                refusal = error
            except ValueError as error:
                refusal = UnitFailedError(unit.call.name, "", str(error))
            self._put_down(unit)
            self._finish(unit, refusal)
        return None

    def _put_down(self, unit: WaitingUnit) -> None:
        """A unit needs its hand no longer, but for its commit, in whose time the hand takes the next."""
        used_s = asyncio.get_running_loop().time() - unit.started
        unit.is_counted = False
        self._queue.done(unit, unit.expected_s, used_s)
        self._patience.observe(used_s)

    def _put_back(self, unit: WaitingUnit) -> None:
        unit.is_counted = False
        self._queue.done(unit, unit.expected_s, 0.0)
        self._release(unit)
        self._queue.put(unit, again=True)

    def _release(self, unit: WaitingUnit) -> None:
        unit.is_held = False
        self._held.pop(unit, None)

    def _end(self, unit: WaitingUnit, ending: Ending) -> None:
        if ending.again:
            loop = asyncio.get_running_loop()
            unit.tries += ending.begun
            delay_s = retry_delay_s(unit.tries) if ending.begun else 0.0
            if unit.tries < self._limits.attempts and loop.time() + delay_s < unit.deadline:
                self._counts["retried"] += 1
                self._release(unit)
                loop.call_later(delay_s, self._again, unit)
                return
        self._finish(unit, ending.outcome.error, ending.outcome)

    def _again(self, unit: WaitingUnit) -> None:
        if unit in unit.source.left:
            self._queue.put(unit, again=True)
            self._wake(1)

    def _finish(self, unit: WaitingUnit, error: SpazaError | None, outcome: UnitOutcome | None = None) -> None:
        self._release(unit)
        self._counts["committed" if error is None else error.code] += 1
        if unit.end(error, outcome):
            self._patience.gone((unit.party,))

    def _watch(self, call: CallOnWay) -> None:
        now = asyncio.get_running_loop().time()
        coming = [unit.deadline for unit in call.left if unit.deadline > now or not unit.is_held]
        if coming:
            call.timer = asyncio.get_running_loop().call_at(min(coming), self._give_up, call)

    def _give_up(self, call: CallOnWay) -> None:
        """End those units of a call that still wait at their deadline; those that run see to theirs."""
        now = asyncio.get_running_loop().time() + _CLOCK_S
        late = [unit for unit in call.left if unit.deadline <= now and not unit.is_held]
        self._queue.remove(late)
        for places, unit in enumerate(late, start=1):
            if self._at_work:
                self._finish(unit, self._overloaded(unit, places))
            else:
                self._finish(unit, ShardUnavailableError(self._shard, "no connection in time"))
        self._watch(call)

    def _nothing_goes(self, error: SpazaError) -> None:
        """All that waits has waited for the connection that could not be opened."""
        waiting = [unit for call in self._calls for unit in call.left if not unit.is_held]
        self._queue.remove(waiting)
        for unit in waiting:
            self._finish(unit, error)

    def _dropped(self, connection: ShardConnection, error: BaseException) -> None:
        """A hand failed with a fault of its own. What it held has ended with the connection, committed or not.

        The unit is not at fault, so it must not read as one that failed.
        """
        for unit in [unit for unit, held in self._held.items() if held is connection]:
            if unit.is_counted:
                self._put_down(unit)
            self._finish(unit, CommitUnknownError(self._shard, type(error).__name__))

    async def _is_clean(self, connection: ShardConnection) -> bool:
        if connection.is_closed():
            return False
        try:
            await connection.assert_clean()
        except (DirtySessionError, TimeoutError, *FOREIGN) as error:
            self._counts["unclean"] += 1
            _log.error("session_not_clean", shard=self._shard, reason=str(error))
            connection.terminate()
            return False
        return True
