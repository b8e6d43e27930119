"""Units of work for moving tenants: how far a move has come stands in the placement, on the shard of its id."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from actors.shards.unit import Transaction, UnitFunction
from kernel.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

READ_MOVES: Final = "tenants.read_moves"
BEGIN_MOVE: Final = "tenants.begin_move"
TAKE_MOVE: Final = "tenants.take_move"
FLIP_MOVE: Final = "tenants.flip_move"
UNDO_MOVE: Final = "tenants.undo_move"
END_MOVE: Final = "tenants.end_move"
COPYING, FLIPPED, UNDOING = "copying", "flipped", "undoing"


class MoveRow(NamedTuple):
    """Where a tenant is, and where it is going; the last four are None if it stays."""

    tenant_id: str
    shard: int
    epoch: int
    state: str
    move_from: int | None
    move_to: int | None
    step: str | None
    token: str | None


class NewMove(NamedTuple):
    """A move that is to begin, for a tenant in one of some states."""

    tenant_id: str
    source: int
    target: int
    token: str
    states: tuple[str, ...]


class MoveName(NamedTuple):
    """One attempt at a move."""

    tenant_id: str
    token: str


class MoveTaken(NamedTuple):
    """A move that somebody else has begun, and whose it is from now on."""

    tenant_id: str
    token: str
    new_token: str


async def read_moves(transaction: Transaction, tenant_ids: list[str] | None) -> list[MoveRow]:
    """These tenants of this shard; with None those that are being moved."""
    return [MoveRow(*row) for row in await transaction.fetch(_SQL["read_moves"], tenant_ids)]


async def begin_move(transaction: Transaction, move: NewMove) -> bool:
    """Enter it; False if the tenant is elsewhere, in another state, or being moved."""
    return await transaction.fetchrow(_SQL["begin_move"], *move) is not None


async def take_move(transaction: Transaction, taken: MoveTaken) -> str | None:
    """Go on with it; returns its step, or None if it has ended or somebody else was quicker."""
    row = await transaction.fetchrow(_SQL["take_move"], *taken)
    return None if row is None else str(row[0])


async def flip_move(transaction: Transaction, move: MoveName) -> int | None:
    """Have the tenant live on its new shard; returns the new epoch, or None if that may not be any more."""
    row = await transaction.fetchrow(_SQL["flip_move"], *move)
    return None if row is None else int(row[0])


async def undo_move(transaction: Transaction, move: MoveName) -> bool:
    """Never flip it; False if it was flipped, or is somebody else's."""
    return await transaction.fetchrow(_SQL["undo_move"], *move) is not None


async def end_move(transaction: Transaction, move: MoveName) -> None:
    """It is over, one way or the other."""
    await transaction.execute(_SQL["end_move"], *move)


UNITS: Mapping[str, UnitFunction] = MappingProxyType(
    {
        READ_MOVES: read_moves,
        BEGIN_MOVE: begin_move,
        TAKE_MOVE: take_move,
        FLIP_MOVE: flip_move,
        UNDO_MOVE: undo_move,
        END_MOVE: end_move,
    }
)
