"""The copy of a tenant's rows, brought from snapshot to snapshot of the source, and compared with each."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import asyncpg

from actors.shards import moved_tables
from actors.shards.move_errors import MoveFailedError
from actors.shards.move_side import QUERIES, Digest, MoveSide, pump
from actors.shards.moved_tables import MovedTable
from telemetry.log import get_logger

# Triggers of the tables have run where the rows were written first; here they would change them again.
_AS_THEY_ARE: Final = "SET LOCAL session_replication_role = replica"
_REMEDY: Final = "GRANT SET ON PARAMETER session_replication_role to the databases' owner"
_log = get_logger("moves")


class _Counted(NamedTuple):
    """Of one table of the source: its rows, and those that were written since the last look."""

    rows: int
    changed: int


class MoveCopy:
    """Copies one tenant. What it has copied is what the source had at its last look, or it has raised.

    Attributes:
        rounds: how often it has looked.
        rows: that there are.
    """

    def __init__(self, source: MoveSide, target: MoveSide) -> None:
        self._source, self._target = source, target
        self._tables: Sequence[MovedTable] = ()
        self._there: list[int] = []
        # Before everything that was written.
        self._horizon = "0"
        # Of which something was deleted.
        self._shrunk: set[int] = set()
        # That run as rows are written to the copy; none where that can be prevented.
        self._triggers: Sequence[str] = ()
        self._as_they_are = False
        self.rounds = self.rows = 0

    async def begin(self) -> None:
        """Once the target has the tables, empty."""
        self._tables = await self._source.tables()
        self._there = [0] * len(self._tables)
        for place, table in enumerate(self._tables):
            await self._target.connection.execute(moved_tables.make_room(table, place))
        if not await self._may_write_as_they_are():
            rows = await self._target.connection.fetch(QUERIES["triggers"], self._target.schema)
            self._triggers = [row["name"] for row in rows]

    async def catch_up(self) -> int:
        """Look at the source as it is now, and make the copy the same.

        Returns:
            how many rows were written there since the last look; all of them the first time.

        Raises:
            MoveFailedError: the copy is not the same, though it should be by now.
        """
        source, target, tables = self._source, self._target, self._tables
        async with source.connection.transaction(isolation="repeatable_read", readonly=True):
            horizon = await source.connection.fetchval(QUERIES["horizon"])
            counted = await self._count()
            async with target.connection.transaction():
                if self._as_they_are:
                    await target.connection.execute(_AS_THEY_ARE)
                await self._fetch(counted)
                # Each side computes for itself, both at once; where one fails, the other is not to go on.
                async with asyncio.TaskGroup() as group:
                    here = group.create_task(self._apply(counted))
                    there = group.create_task(source.digests(tables))
                ours, theirs = here.result(), there.result()
        self._horizon, self._there = horizon, [one.rows for one in theirs]
        self.rounds, self.rows = self.rounds + 1, sum(self._there)
        self._compare(theirs, ours)
        changed = sum(one.changed for one in counted)
        _log.info("move_caught_up", tenant_id=source.tenant_id, round=self.rounds, changed=changed, rows=self.rows)
        return changed

    async def _may_write_as_they_are(self) -> bool:
        """Whether the owner may keep triggers from running: a superuser, or who was granted it, may."""
        try:
            async with self._target.connection.transaction():
                await self._target.connection.execute(_AS_THEY_ARE)
        except asyncpg.InsufficientPrivilegeError:
            return False
        self._as_they_are = True
        return True

    async def _count(self) -> list[_Counted]:
        query = moved_tables.changes(self._tables)
        rows = await self._source.connection.fetch(query, self._source.tenant_id, self._horizon)
        return [_Counted(*row[1:]) for row in sorted(rows, key=lambda row: row[0])]

    async def _fetch(self, counted: Sequence[_Counted]) -> None:
        """Have the target know what it needs; nothing of its tables is touched yet."""
        source, target, tenant_id = self._source, self._target, self._source.tenant_id
        for place, (table, (rows, changed)) in enumerate(zip(self._tables, counted, strict=True)):
            unknown = 0
            if changed:
                query = moved_tables.changed_rows(table)
                await pump(source, query, (tenant_id, self._horizon), target, moved_tables.rows_of(place))
                unknown = await target.connection.fetchval(moved_tables.unknown(table, place), tenant_id)
            if self._there[place] + unknown != rows:
                # Some were deleted, and only what is left can say which.
                await pump(source, moved_tables.keys(table), (tenant_id,), target, moved_tables.keys_of(place))
                self._shrunk.add(place)

    async def _apply(self, counted: Sequence[_Counted]) -> list[Digest]:
        connection, tenant_id = self._target.connection, self._target.tenant_id
        in_order = [*enumerate(zip(self._tables, counted, strict=True))]
        for place, (table, _) in reversed(in_order):
            if place in self._shrunk:
                await connection.execute(moved_tables.delete_others(table, place), tenant_id)
                await connection.execute(f"TRUNCATE {moved_tables.keys_of(place)}")
        self._shrunk.clear()
        for place, (table, (_, changed)) in in_order:
            if changed:
                if self.rounds and not table.referenced:
                    await connection.execute(moved_tables.delete_same(table, place), tenant_id)
                await connection.execute(moved_tables.put(table, place))
                await connection.execute(f"TRUNCATE {moved_tables.rows_of(place)}")
        return await self._target.digests(self._tables)

    def _compare(self, theirs: Sequence[Digest], ours: Sequence[Digest]) -> None:
        for table, there, here in zip(self._tables, theirs, ours, strict=True):
            if there != here:
                tenant_id = self._source.tenant_id
                _log.error("move_compared_unequal", tenant_id=tenant_id, table=table.name, source=there, copy=here)
                reason = f"the copy of {table.name} is not the same: {here.rows} rows of {there.rows}, or others"
                if self._triggers:
                    reason += f"; its triggers ({', '.join(self._triggers)}) run as the copy is written: {_REMEDY}"
                raise MoveFailedError(tenant_id, reason)
