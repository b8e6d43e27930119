"""Moving a tenant to another shard while it is in use, and ending what a mover that died has left."""

import asyncio
from time import perf_counter
from typing import Any, Final

from actors.shards.errors import ShardError
from actors.shards.move_errors import MoveError, MoveFailedError, MoveUnderWayError, MoveUnfinishedError
from actors.shards.placement import SHARDS, shard_of
from actors.shards.unit import UnitCall, UnitRunner, run_one
from kernel.errors import SpazaError
from kernel.identifiers import new_id
from services.tenants import move_store
from services.tenants.directory import TenantDirectory
from services.tenants.errors import TenantStateError, UnknownTenantError
from services.tenants.listing import TenantListing
from services.tenants.move_ports import Move, MoveReport, Moves
from services.tenants.move_store import FLIPPED, MoveName, MoveRow, MoveTaken, NewMove
from services.tenants.states import ACTIVE, SUSPENDED
from telemetry.log import get_logger

_STEP_S: Final = 3.0
# How long it is asked how a flip ended of which the answer was lost; the tenant waits meanwhile.
_DOUBT_S: Final = 5.0
_LOOK_S: Final = 0.1
_log = get_logger("moves")


class TenantMoving:
    """Moves tenants. Any number of these may exist; the databases see to it that one of them moves a tenant.

    How far a move has come stands in the tenant's placement. Before the flip whatever happens leads back to where the
    tenant was, after it on to where it is; by the mover itself, by the next one who asks for a move, or by
    ``look_after``. Who comes to the wrong shard meanwhile is refused with ``TenantMovedError``.
    """

    def __init__(self, shards: UnitRunner, listing: TenantListing, moves: Moves, directory: TenantDirectory) -> None:
        self._shards, self._listing, self._moves, self._directory = shards, listing, moves, directory

    async def look(self, tenant_id: str, shard: int) -> MoveReport | None:
        """See before a move has its turn whether there is anything to move; the report if it lives there already.

        Raises:
            SpazaError: as ``move`` before its first step; what a mover that died has left was ended as far as it goes.
        """
        row = await self._ready(tenant_id)
        return _stays(row) if row.shard == shard else None

    async def move(self, tenant_id: str, shard: int) -> MoveReport:
        """Move a tenant. Where a mover died before, what it has left is ended first.

        Args:
            tenant_id: of a tenant that is active or suspended.
            shard: where it is to live.

        Raises:
            UnknownTenantError: there is none.
            TenantStateError: it is being removed.
            MoveUnderWayError: somebody else is moving or migrating it.
            MoveRefusedError: it cannot be moved as it is.
            MoveFailedError: the move was backed out of.
            MoveUnfinishedError: it could be neither ended nor undone now.
            ShardError: the directory does not answer; nothing was begun.
        """
        row = await self._ready(tenant_id)
        if row.shard == shard:
            return _stays(row)
        try:
            report = await self._move(row, shard)
        except MoveUnfinishedError:
            # A session broke, or a shard was away for a moment; nobody is to wait for the next look.
            row = await self._end_soon(tenant_id)
            if row.shard != shard:
                raise MoveFailedError(tenant_id, "a shard went away in the middle") from None
            return MoveReport(tenant_id, shard, shard, row.epoch, moved=True)
        _log.info("tenant_moved", **report._asdict())
        return report

    async def end_all_left(self) -> int:
        """End or undo what movers that died have left, as far as that can be done now; returns how many."""
        calls = [UnitCall(move_store.READ_MOVES, shard, "", None) for shard in range(SHARDS)]
        rows: list[MoveRow] = []
        for outcome in await self._shards.run(calls, timeout_s=_STEP_S):
            if outcome.error is None:
                rows += outcome.value
        ended = 0
        for row in rows:
            try:
                ended += await self._end_or_let_in(row)
            except MoveUnderWayError:
                continue  # its mover lives
            except SpazaError as error:
                _log.warning("left_move_not_ended", tenant_id=row.tenant_id, error=str(error))
        return ended

    async def look_after(self, every_s: float) -> None:
        """Do that again and again, until cancelled."""
        while True:
            try:
                await self.end_all_left()
            except Exception:  # noqa: BLE001 - whatever it was, the next look is to come
                _log.exception("left_moves_not_looked_after")
            await asyncio.sleep(every_s)

    async def _ready(self, tenant_id: str) -> MoveRow:
        row = await self._row(tenant_id)
        if row.move_to is not None:
            await self._end_left(row)
            row = await self._row(tenant_id)
        if row.state not in {ACTIVE, SUSPENDED}:
            raise TenantStateError(tenant_id, row.state, "it is being removed, and goes nowhere else")
        return row

    async def _move(self, row: MoveRow, shard: int) -> MoveReport:
        began, tenant_id = perf_counter(), row.tenant_id
        name = MoveName(tenant_id, new_id())
        async with self._moves.between(tenant_id, row.shard, shard) as move:
            begun = NewMove(tenant_id, row.shard, shard, name.token, (ACTIVE, SUSPENDED))
            if not await self._one(move_store.BEGIN_MOVE, tenant_id, begun):
                raise MoveUnderWayError(tenant_id, "its placement was changed just now; come again")
            epoch = await self._to_the_flip(move, name)
            await self._from_the_flip(move, name)
            return MoveReport(
                tenant_id, row.shard, shard, epoch, moved=True, rows=move.rows, rounds=move.rounds,
                messages=move.messages, freeze_ms=move.freeze_ms, seconds=perf_counter() - began,
            )  # fmt: skip

    async def _end_soon(self, tenant_id: str) -> MoveRow:
        """End what is left of a move, by sessions of its own; where that goes within moments."""
        until = perf_counter() + _DOUBT_S
        while True:
            try:
                row = await self._row(tenant_id)
                if row.move_to is None or await self._end_or_let_in(row):
                    return await self._row(tenant_id)
            except SpazaError as error:
                if perf_counter() > until:
                    raise MoveUnfinishedError.after(tenant_id, error) from error
            await asyncio.sleep(_LOOK_S)

    async def _end_or_let_in(self, row: MoveRow) -> bool:
        """End it; where that cannot be done now, because of one of the shards, at least let units in."""
        try:
            return await self._end_left(row)
        except ShardError as error:
            ended = error
        try:
            let_in = await self._let_in(row)
        except MoveUnderWayError:
            raise ended from None
        _log.warning("left_move_not_ended", tenant_id=row.tenant_id, error=str(ended), let_in=let_in)
        return let_in

    async def _end_left(self, row: MoveRow) -> bool:
        """Go on with a move whose mover is gone; False if there is nothing to go on with any more."""
        assert row.move_from is not None
        assert row.move_to is not None
        name = MoveName(row.tenant_id, new_id())
        async with self._moves.between(row.tenant_id, row.move_from, row.move_to) as move:
            step = await self._take(row, name)
            if step is None:
                return False
            _log.warning("left_move_taken_up", tenant_id=row.tenant_id, step=step)
            if step == FLIPPED:
                await self._from_the_flip(move, name)
            else:
                await self._undo(move, name)
            return True

    async def _take(self, row: MoveRow, name: MoveName) -> str | None:
        """Nobody else works on it now, and who began it changes the placement no more."""
        assert row.token is not None
        step: str | None = await self._one(
            move_store.TAKE_MOVE, row.tenant_id, MoveTaken(row.tenant_id, row.token, name.token)
        )
        return step

    async def _let_in(self, row: MoveRow) -> bool:
        """Let units in where the tenant lives, for nobody is to wait for the other shard; the rest is for later."""
        name, flipped = MoveName(row.tenant_id, new_id()), row.step == FLIPPED
        home = row.move_to if flipped else row.move_from
        assert home is not None
        async with self._moves.entrance(row.tenant_id, home) as entrance:
            step = await self._take(row, name)
            if step is None or (step == FLIPPED) is not flipped:
                return False
            if not flipped and not await self._one(move_store.UNDO_MOVE, row.tenant_id, name):
                return False
            await entrance.open()
        return True

    async def _to_the_flip(self, move: Move, name: MoveName) -> int:
        flips = False
        try:
            await move.copy()
            await self._forget(name.tenant_id)
            await move.freeze()
            flips = True
            return await self._flip(name)
        except BaseException as error:
            _log.warning("move_failed", tenant_id=name.tenant_id, flips=flips, error=str(error))
            flipped = await self._back_out(move, name, flips=flips)
            if flipped is not None and not isinstance(error, asyncio.CancelledError):
                return flipped
            if isinstance(error, ShardError) and not isinstance(error, MoveError):
                raise MoveFailedError(name.tenant_id, str(error)) from error
            raise

    async def _flip(self, name: MoveName) -> int:
        epoch: int | None = await self._one(move_store.FLIP_MOVE, name.tenant_id, name)
        if epoch is None:
            raise MoveFailedError(name.tenant_id, "its placement was changed meanwhile")
        return epoch

    async def _from_the_flip(self, move: Move, name: MoveName) -> None:
        try:
            await move.open()
        except SpazaError as error:
            raise MoveUnfinishedError.after(name.tenant_id, error) from error
        try:
            await self._forget(name.tenant_id)
            await move.finish()
            await self._one(move_store.END_MOVE, name.tenant_id, name)
        except SpazaError as error:
            # It is served where it is; what is left where it was goes with the next look.
            _log.warning("move_left_something", tenant_id=name.tenant_id, error=str(error))

    async def _back_out(self, move: Move, name: MoveName, *, flips: bool) -> int | None:
        """Undo, unless the flip has happened after all; then the new epoch."""
        until = perf_counter() + _DOUBT_S
        while True:
            try:
                epoch = await self._forbid_flip(name)
            except MoveUnderWayError:
                raise
            except ShardError as error:
                if not flips:
                    # Nobody can have flipped it, for its locks are held here. Its placement is put right later.
                    await self._lift(move, name)
                    return None
                if perf_counter() > until:
                    raise MoveUnfinishedError.after(name.tenant_id, error) from error
                await asyncio.sleep(_LOOK_S)
            else:
                if epoch is None:
                    await self._undo(move, name)
                return epoch

    async def _forbid_flip(self, name: MoveName) -> int | None:
        """See to it that it cannot be flipped any more; the new epoch if it was."""
        if await self._one(move_store.UNDO_MOVE, name.tenant_id, name):
            return None
        row = await self._row(name.tenant_id)
        if row.token == name.token and row.step == FLIPPED:
            return row.epoch
        raise MoveUnderWayError(name.tenant_id, "somebody else goes on with it")

    async def _undo(self, move: Move, name: MoveName) -> None:
        if not await self._one(move_store.UNDO_MOVE, name.tenant_id, name):
            raise MoveUnderWayError(name.tenant_id, "somebody else goes on with it")
        await self._lift(move, name)
        await self._one(move_store.END_MOVE, name.tenant_id, name)

    async def _lift(self, move: Move, name: MoveName) -> None:
        try:
            await move.undo()
        except SpazaError as error:
            raise MoveUnfinishedError.after(name.tenant_id, error) from error

    async def _forget(self, tenant_id: str) -> None:
        row = await self._listing.row(tenant_id)
        if row.phone_numbers:
            await self._directory.forget(row.phone_numbers, kids=row.kids, tenant_id=tenant_id)
        else:
            await self._directory.forget_tenant(tenant_id)

    async def _row(self, tenant_id: str) -> MoveRow:
        rows: list[MoveRow] = await self._one(move_store.READ_MOVES, tenant_id, [tenant_id])
        if not rows:
            raise UnknownTenantError(tenant_id)
        return rows[0]

    async def _one(self, unit: str, tenant_id: str, arguments: Any) -> Any:
        call = UnitCall(unit, shard_of(tenant_id), "", arguments)
        return await run_one(self._shards, call, timeout_s=_STEP_S)


def _stays(row: MoveRow) -> MoveReport:
    return MoveReport(row.tenant_id, row.shard, row.shard, row.epoch, moved=False)
