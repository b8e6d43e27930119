"""A step of a move is over in time, whatever its servers do, and says in our words what went wrong."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import asyncpg

from actors.shards.errors import ShardUnavailableError
from actors.shards.migrations import said
from actors.shards.move_errors import MoveError
from actors.shards.move_side import MoveSide
from actors.shards.translation import FOREIGN, sqlstate_of
from telemetry.log import get_logger

# For what is done in sessions that were cut to come to an end.
_GRACE_S: Final = 1.0
_log = get_logger("moves")

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


class OfTenant(Protocol):
    """What moves a tenant."""

    @property
    def tenant_id(self) -> str: ...


Mover = TypeVar("Mover", bound=OfTenant)


async def within(limit_s: float | None, work: Coroutine[Any, Any, Returned], *, cut: Sequence[MoveSide]) -> Returned:
    """Wait for what is done in the sessions of a move, but not longer.

    Args:
        limit_s: then it has to end, as it has when nobody waits any more; None waits as long as somebody does.
        work: in these sessions.
        cut: the sessions, which are cut then. A server that hangs would be waited for until it answers to a roll-back;
            and one that does not may have begun a transaction of which its client does not know, so that whatever
            comes after it would be lost with it.

    Raises:
        TimeoutError: it took longer.
    """
    task = asyncio.ensure_future(work)
    try:
        async with asyncio.timeout(limit_s):
            return await asyncio.shield(task)
    except (TimeoutError, asyncio.CancelledError):
        for side in cut:
            _log.warning("move_session_cut", tenant_id=side.tenant_id, shard=side.shard)
            side.cut()
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE_S)
        if task.done() and not task.cancelled():
            # It has failed of what was done to it.
            task.exception()
        raise


@contextmanager
def away(shard: int) -> Iterator[None]:
    """Who cannot reach a shard says so."""
    try:
        yield
    except (TimeoutError, *FOREIGN) as error:
        raise ShardUnavailableError(shard, f"{type(error).__name__} {sqlstate_of(error)}".rstrip()) from error


def in_our_words(
    kind: type[MoveError],
) -> Callable[
    [Callable[Concatenate[Mover, Parameters], Awaitable[Returned]]],
    Callable[Concatenate[Mover, Parameters], Coroutine[Any, Any, Returned]],
]:
    """What the databases say in a step becomes the reason of an error of ours.

    Args:
        kind: what it is that the step fails: a move that is backed out of, or one that is not over.
    """

    def of(
        step: Callable[Concatenate[Mover, Parameters], Awaitable[Returned]],
    ) -> Callable[Concatenate[Mover, Parameters], Coroutine[Any, Any, Returned]]:
        @functools.wraps(step)
        async def run(move: Mover, /, *arguments: Parameters.args, **named: Parameters.kwargs) -> Returned:
            try:
                return await step(move, *arguments, **named)
            except (TimeoutError, ExceptionGroup, *FOREIGN) as error:
                first: Exception = error
                while isinstance(first, ExceptionGroup):
                    first = first.exceptions[0]
                if not isinstance(first, (TimeoutError, *FOREIGN)):
                    raise
                reason = f"{step.__name__}: {type(first).__name__} {sqlstate_of(first)}".rstrip()
                # Never the detail, which quotes rows.
                text = said(first) if isinstance(first, asyncpg.PostgresError) else str(first)
                _log.warning("move_step_failed", tenant_id=move.tenant_id, step=step.__name__, error=text)
                raise kind(move.tenant_id, reason) from error

        return run

    return of
