"""What moves a tenant's rows, as the use case sees it, and what it reports."""

from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol


class Move(Protocol):
    """The rows of one tenant between two shards; see ``actors.shards.tenant_move.TenantMove``."""

    @property
    def messages(self) -> int: ...
    @property
    def freeze_ms(self) -> float: ...
    @property
    def rows(self) -> int: ...
    @property
    def rounds(self) -> int: ...
    async def copy(self) -> None: ...
    async def freeze(self) -> None: ...
    async def open(self) -> None: ...
    async def finish(self) -> None: ...
    async def undo(self) -> None: ...


class Entrance(Protocol):
    """The way into a tenant's schema on the shard where it lives."""

    async def open(self) -> None: ...


class Moves(Protocol):
    """Opens moves; ``TenantMoves`` fits."""

    def between(self, tenant_id: str, source: int, target: int) -> AbstractAsyncContextManager[Move]:
        """Hold a tenant on both shards, or raise ``MoveUnderWayError``."""

    def entrance(self, tenant_id: str, shard: int) -> AbstractAsyncContextManager[Entrance]:
        """Hold it on one of them, while the other is away."""


class MoveReport(NamedTuple):
    """What was done.

    Attributes:
        moved: False if the tenant lived there already.
        rows: that were compared on both sides, without messages.
        rounds: of copying, the last one in the freeze.
        messages: that waited and went with it.
        freeze_ms: from when units were refused on the old shard until they were let in on the new one.
        seconds: for all of it.
    """

    tenant_id: str
    source: int
    shard: int
    epoch: int
    moved: bool
    rows: int = 0
    rounds: int = 0
    messages: int = 0
    freeze_ms: float = 0.0
    seconds: float = 0.0
