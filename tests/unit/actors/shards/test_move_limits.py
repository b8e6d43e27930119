"""What goes wrong in a step of a move is said for what it is: backed out of, or not over yet."""

import pytest

from actors.shards.errors import ShardUnavailableError
from actors.shards.move_errors import MoveFailedError, MoveUnfinishedError
from actors.shards.move_limits import in_our_words

TENANT = "a" * 32


class Move:
    tenant_id = TENANT

    @in_our_words(MoveFailedError)
    async def copy(self, error: Exception) -> None:
        raise error

    @in_our_words(MoveUnfinishedError)
    async def open(self, error: Exception) -> None:
        raise error


async def test_before_the_flip_it_is_backed_out_of_and_after_it_not_over() -> None:
    with pytest.raises(MoveFailedError, match="served where it was: copy: ConnectionResetError"):
        await Move().copy(ConnectionResetError("x"))
    with pytest.raises(MoveUnfinishedError, match="is not over; it is gone on with: open: TimeoutError"):
        await Move().open(ExceptionGroup("of tasks", [TimeoutError()]))


async def test_an_error_of_ours_is_left_as_it_is() -> None:
    with pytest.raises(ShardUnavailableError):
        await Move().open(ShardUnavailableError(3, "away"))


def test_a_step_that_failed_is_the_reason_that_is_said_and_not_said_twice() -> None:
    step = MoveUnfinishedError(TENANT, "open: TimeoutError")

    assert MoveUnfinishedError.after(TENANT, step).reason == "open: TimeoutError"
    assert MoveUnfinishedError.after(TENANT, ShardUnavailableError(3, "away")).reason == "shard 03 is unavailable: away"
