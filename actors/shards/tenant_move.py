"""Moves a tenant's rows from one shard to another while it is in use: copied, caught up, fenced, compared, opened.

How it is done, step by step; what goes in between into the directory is the caller's:

copy            the new shard gets a schema of the same version that nobody can enter, and the rows of a snapshot; then
                again and again what was written since, until that is little
freeze          nobody may enter the schema on the old shard; units under way are waited for; the last changes follow,
                and all rows of both sides are held against each other
(flip)          the placement names the new shard
open            the messages that wait follow, and units may enter the schema on the new shard
finish          the rows on the old shard go

Until the flip everything can be undone by ``undo``, and after it ended by ``open`` and ``finish``, by whoever holds the
locks, however often. They are held by sessions of the databases, so they end with the process that moves.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter
from typing import Final, NamedTuple

from actors.shards.catalog import differences
from actors.shards.migration_files import TENANT
from actors.shards.migrations import DEFAULT_PATIENCE
from actors.shards.move_copy import MoveCopy
from actors.shards.move_errors import MoveFailedError, MoveRefusedError, MoveUnderWayError, MoveUnfinishedError
from actors.shards.move_limits import away, in_our_words, within
from actors.shards.move_messages import MOST_MESSAGES, move_messages, waiting
from actors.shards.move_side import QUERIES, MoveSide
from actors.shards.release_register import QUERIES as REGISTER
from actors.shards.release_register import released
from actors.shards.tenant_schema import build_as
from actors.shards.translation import FOREIGN, sqlstate_of
from telemetry.log import get_logger

_LOOK_S: Final = 0.003
# While nobody is let in, a mover that stands still is to lose its sessions soon.
_IN_TIME: Final = "SET idle_session_timeout = '{seconds}s'; SET idle_in_transaction_session_timeout = '{seconds}s'"
_log = get_logger("moves")


class MovePolicy(NamedTuple):
    """How a move goes.

    Attributes:
        few_rows: so many changes may be left for the freeze.
        rounds: of catching up, before the freeze begins with what is left.
        drain_s: for the units under way when it begins.
        freeze_s: for all of it, until the flip; then it is undone.
        most_messages: that may wait when it begins, for nobody is let in before they have followed.
        follow_s: for them, after the flip; then those that have not followed are left where they are.
        partition_s: of that, for a lock on a partition.
        let_in_s: for units to be let in again, on either side.
        clear_s: for what is left of the tenant where it is not any more.
    """

    few_rows: int = 200
    rounds: int = 8
    drain_s: float = 2.0
    freeze_s: float = 8.0
    most_messages: int = 500
    follow_s: float = 3.0
    partition_s: float = 2.0
    let_in_s: float = 3.0
    clear_s: float = 30.0


class TenantMoves:
    """Opens moves. Holds the owner's DSN, and connections only in a move."""

    def __init__(
        self,
        dsn_template: str,
        queues: Sequence[str] = (),
        policy: MovePolicy | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            dsn_template: of the owner.
            queues: that units of work publish to; not those of dead letters.
            policy: see there.
        """
        self._dsn_template, self._queues = dsn_template, tuple(queues)
        self._policy = MovePolicy() if policy is None else policy

    @asynccontextmanager
    async def between(self, tenant_id: str, source: int, target: int) -> "AsyncIterator[TenantMove]":
        """Hold the tenant on two shards.

        Raises:
            WrongTenantError: not a tenant's id.
            MoveUnderWayError: somebody else holds it.
            SetupError: the owner cannot see a tenant's rows.
            ShardUnavailableError: a shard cannot be reached.
        """
        async with AsyncExitStack() as stack:
            sides: dict[int, MoveSide] = {}
            # The lower first, so that two moves the other way round do not hold one each.
            for shard in sorted({source, target}):
                with away(shard):
                    sides[shard] = await MoveSide.open(self._dsn_template, tenant_id, shard)
                    stack.push_async_callback(sides[shard].close)
                    locked = await sides[shard].lock()
                if not locked:
                    raise MoveUnderWayError(tenant_id, "it is being moved or migrated by somebody else; come again")
            yield TenantMove(sides[source], sides[target], self._queues, self._policy)

    @asynccontextmanager
    async def entrance(self, tenant_id: str, shard: int) -> "AsyncIterator[Entrance]":
        """Hold the tenant on one shard alone, while the other is away; raises as ``between``."""
        async with AsyncExitStack() as stack:
            with away(shard):
                side = await MoveSide.open(self._dsn_template, tenant_id, shard)
                stack.push_async_callback(side.close)
                locked = await side.lock()
            if not locked:
                raise MoveUnderWayError(tenant_id, "it is being moved or migrated by somebody else; come again")
            yield Entrance(side, self._policy.let_in_s)


class Entrance:
    """The way into a tenant's schema on one shard, held by the session with its lock."""

    def __init__(self, side: MoveSide, let_in_s: float) -> None:
        self._side, self._let_in_s = side, let_in_s

    @property
    def tenant_id(self) -> str:
        """Whose."""
        return self._side.tenant_id

    @in_our_words(MoveUnfinishedError)
    async def open(self) -> None:
        """Let units in. Again changes nothing."""
        await within(self._let_in_s, self._side.open_entrance(), cut=[self._side])


class TenantMove:
    """One move, by the sessions that hold its locks. Its methods are called one after the other.

    Attributes:
        messages: that waited and were moved.
        freeze_ms: for how long nobody could enter the schema.
    """

    def __init__(
        self,
        source: MoveSide,
        target: MoveSide,
        queues: Sequence[str],
        policy: MovePolicy,
    ) -> None:
        self._source, self._target, self._queues = source, target, queues
        self.tenant_id = source.tenant_id
        self._policy = policy
        self._frozen_at: float | None = None
        self._copy = MoveCopy(source, target)
        self.messages = 0
        self.freeze_ms = 0.0

    @property
    def rows(self) -> int:
        """As they were compared."""
        return self._copy.rows

    @property
    def rounds(self) -> int:
        """Of copying, the last one in the freeze."""
        return self._copy.rounds

    @in_our_words(MoveFailedError)
    async def copy(self) -> None:
        """Copy all rows, and what was written meanwhile, until that is little. Units go on.

        Raises:
            MoveRefusedError: the schema is not what its migrations make, or too many messages wait.
        """
        source, target = self._source, self._target
        if (messages := await waiting(source, self._queues)) > MOST_MESSAGES:
            reason = f"{messages:,} messages or more wait for it; move it when they are delivered"
            raise MoveRefusedError(source.tenant_id, reason)
        await within(None, self._copy_all(), cut=[source, target])

    async def _copy_all(self) -> None:
        await self._target.clear()
        await self._build()
        await self._copy.begin()
        left = await self._copy.catch_up()
        while left > self._policy.few_rows and self._copy.rounds < self._policy.rounds:
            before, left = left, await self._copy.catch_up()
            if left * 2 > before:
                # It is written as quickly as it is copied.
                break

    @in_our_words(MoveFailedError)
    async def freeze(self) -> None:
        """Let nobody write any more, copy the last changes, and compare all rows.

        Raises:
            MoveFailedError: too many messages wait by now, units under way did not end in time, it took too long, or
                the rows are not the same.
        """
        if (messages := await waiting(self._source, self._queues)) > self._policy.most_messages:
            reason = f"{messages:,} messages wait for it; move it again when they are delivered"
            raise MoveFailedError(self.tenant_id, reason)
        await within(self._policy.freeze_s, self._freeze(), cut=[self._source, self._target])

    @in_our_words(MoveUnfinishedError)
    async def open(self) -> None:
        """After the flip: let the messages follow, and units in. Again does what is left of it."""
        # What is published on the new shard comes behind them.
        self.messages += await self._move_messages()
        await self._let_in(self._target)

    @in_our_words(MoveUnfinishedError)
    async def finish(self) -> None:
        """The rows on the old shard go. Again changes nothing."""
        await within(self._policy.clear_s, self._source.clear(), cut=[self._source])

    @in_our_words(MoveUnfinishedError)
    async def undo(self) -> None:
        """Before the flip: the tenant is served where it was, and its copy goes. Again changes nothing."""
        await self._let_in(self._source)
        await within(self._policy.clear_s, self._target.clear(), cut=[self._target])

    async def _freeze(self) -> None:
        for side in (self._source, self._target):
            await side.connection.execute(_IN_TIME.format(seconds=2 * int(self._policy.freeze_s)))
        self._frozen_at = perf_counter()
        await self._source.close_entrance()
        await self._drain()
        await self._copy.catch_up()
        await self._target.set_sequences(await self._source.sequences())

    async def _let_in(self, side: MoveSide) -> None:
        await within(self._policy.let_in_s, side.open_entrance(), cut=[side])
        if self._frozen_at is not None:
            self.freeze_ms = (perf_counter() - self._frozen_at) * 1000

    async def _build(self) -> None:
        source, target = self._source, self._target
        version = await source.version()
        files = (await released(source.connection, TENANT))[:version]
        if not version or len(files) < version:
            raise MoveRefusedError(source.tenant_id, f"shard {source.shard:02d} does not know how its schema was made")
        connection = target.connection
        async with connection.transaction():
            await connection.execute(f"{DEFAULT_PATIENCE.limits}; {REGISTER['share_register']}")
            known = await released(connection, TENANT)
            if other := [one.name for one, theirs in zip(files, known, strict=False) if one != theirs]:
                raise MoveRefusedError(source.tenant_id, f"shard {target.shard:02d} has another {other[0]}")
            await connection.execute(f"CREATE SCHEMA {target.schema}")
            await build_as(connection, target.schema, target.tenant_id, files, len(known))
        await target.act()
        found = differences(await target.catalog(), await source.catalog())
        if found:
            reason = f"its schema is not what its migrations make of it ({found[0]}); see spaza migrate --drift"
            raise MoveRefusedError(source.tenant_id, reason)

    async def _drain(self) -> None:
        """Wait for the units that were under way. Whoever takes a lock from now on sees that the entrance is closed."""
        until = perf_counter() + self._policy.drain_s
        while await self._source.connection.fetchval(QUERIES["units_under_way"], self._source.schema):
            if perf_counter() > until:
                reason = f"what was under way did not end within {self._policy.drain_s:g} s"
                raise MoveFailedError(self._source.tenant_id, reason)
            await asyncio.sleep(_LOOK_S)

    async def _move_messages(self) -> int:
        source, target, policy = self._source, self._target, self._policy
        moving = move_messages(source, target, self._queues, lock_s=policy.partition_s)
        try:
            return await within(policy.follow_s, moving, cut=[source, target])
        except FOREIGN as error:
            # They are delivered from where they are, and the tenant is not to wait for an old shard that is away, nor
            # for somebody who finds out why. Where it is the new one, the next step tells.
            shard, why = source.shard, f"{type(error).__name__} {sqlstate_of(error)}".rstrip()
            _log.error("move_messages_left", tenant_id=self.tenant_id, shard=shard, error=why)
            return 0
