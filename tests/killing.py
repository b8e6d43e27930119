"""Kills a process at the n-th of its steps, where a step is a message to a server, and so at every one for every n.

What runs is forked from this process and never returns to it. It is killed by SIGKILL before the message leaves, or
as soon as it has left, when nobody knows yet how the server takes it. That the steps are counted at the socket makes
the test go on holding for code that is written otherwise.
"""

import asyncio
import os
import signal
from asyncio import selector_events
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

_SocketTransport: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
_FINISHED, _FAILED = 0, 70
_SESSIONS: Final = "SELECT 1 FROM pg_stat_activity WHERE datname LIKE $1 AND backend_type = 'client backend'"
_PATIENCE_S: Final = 120.0


def killed_at(step: int, main: Callable[[], Awaitable[object]], *, after: bool = False) -> bool:
    """Run it in a process of its own that is killed at a step. To be called where no event loop runs.

    Args:
        step: which message is the last, from 0.
        main: what to run.
        after: killed when the message has left; else before.

    Returns:
        whether it was killed; False when it had ended by then.

    Raises:
        AssertionError: it failed.
    """
    child = os.fork()
    if child == 0:
        _die_at(step, main, after=after)
    return _ended_by_a_kill(child)


def killed_after(seconds: float, main: Callable[[], Awaitable[object]]) -> bool:
    """The same, killed from outside after a time."""
    child = os.fork()
    if child == 0:
        _run(main)
    asyncio.run(_kill_later(child, seconds))
    return _ended_by_a_kill(child)


async def sessions_over(dsn: str, databases: str) -> None:
    """Wait until a server has noticed that whoever was killed is gone; it ends what it was told until then.

    Args:
        dsn: of another database than these.
        databases: a pattern of their names.
    """
    keeper = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while await keeper.fetch(_SESSIONS, databases):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
    finally:
        await keeper.close()


async def _kill_later(child: int, seconds: float) -> None:
    await asyncio.sleep(seconds)
    # It is not waited for yet, so the number is still its own.
    os.kill(child, signal.SIGKILL)


def _ended_by_a_kill(child: int) -> bool:
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == _FINISHED, "it failed by itself; see its traceback above"
    return False


def _die_at(step: int, main: Callable[[], Awaitable[object]], *, after: bool) -> None:
    left, write = step, _SocketTransport.write

    def counted(transport: Any, data: Any) -> None:
        nonlocal left
        if left == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        write(transport, data)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    _SocketTransport.write = counted
    _run(main)


def _run(main: Callable[[], Awaitable[object]]) -> None:
    async def awaited() -> None:
        await main()

    status = _FAILED
    try:
        asyncio.run(awaited())
        status = _FINISHED
    except BaseException:  # noqa: BLE001 - the parent learns of it by the status
        import traceback

        traceback.print_exc()
    finally:
        # Nothing of the test run may go on in here.
        os._exit(status)
