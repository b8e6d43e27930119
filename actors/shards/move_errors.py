"""Why a tenant was not moved to another shard.

MoveError
    MoveUnderWayError       somebody else is moving or migrating it
    MoveRefusedError        it cannot be moved as it is: nothing was touched
    MoveFailedError         it was backed out of: the tenant is where it was, and is served there
    MoveUnfinishedError     it could be neither ended nor undone now: a repeat does, or the next look after such moves
"""

from typing import ClassVar, Self

from actors.shards.errors import ShardError


class MoveError(ShardError):
    """Anything that goes wrong while a tenant is moved."""

    code: ClassVar[str] = "move_error"

    def __init__(self, tenant_id: str, reason: str) -> None:
        super().__init__(tenant_id, reason)
        self.tenant_id, self.reason = tenant_id, reason

    def __str__(self) -> str:
        return f"tenant {self.tenant_id}: {self.reason}"


class MoveUnderWayError(MoveError):
    """Somebody else is moving or migrating the tenant. Come again when that has ended."""

    code: ClassVar[str] = "move_under_way"
    http_status: ClassVar[int] = 409


class MoveRefusedError(MoveError):
    """The tenant cannot be moved as it is. Nothing was touched that anybody could see."""

    code: ClassVar[str] = "move_refused"
    http_status: ClassVar[int] = 409


class MoveFailedError(MoveError):
    """The move was backed out of. The tenant is where it was, and is served there."""

    code: ClassVar[str] = "move_failed"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"tenant {self.tenant_id} was not moved and is served where it was: {self.reason}"


class MoveUnfinishedError(MoveError):
    """A shard went away in the middle. Moving it again, or the regular look after such moves, goes on from there."""

    code: ClassVar[str] = "move_unfinished"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    @classmethod
    def after(cls, tenant_id: str, error: Exception) -> Self:
        """Because of an error in one of its steps."""
        return cls(tenant_id, error.reason if isinstance(error, MoveError) else str(error))

    def __str__(self) -> str:
        return f"the move of tenant {self.tenant_id} is not over; it is gone on with: {self.reason}"
