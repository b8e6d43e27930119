"""Watches over what an actor runs in the background: none of it may end unnoticed while the actor lives on."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from telemetry.log import get_logger

_EXIT_CODE = 70  # EX_SOFTWARE
_log = get_logger("mailbox")


class Vigil:
    """Runs tasks that are to run as long as the actor does.

    One that ends, by an error, by returning or cancelled by somebody else, is logged and reported once; after
    ``stop`` they may.

    Args:
        fallen: called with the name of the task that ended.
        again_s: after which what is tended begins anew.
    """

    def __init__(self, fallen: Callable[[str], None], *, again_s: float = 10.0) -> None:
        self._fallen, self._again_s = fallen, again_s
        self._tasks: list[asyncio.Task[None]] = []
        self._over = False

    def watch(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run it from now on."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def tend(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what the actor can do without, its figures say: where it raises it begins anew after a while."""
        self.watch(name, self._again_and_again(name, work))

    async def stop(self) -> None:
        """Cancel all of them and wait until they have ended."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _again_and_again(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
                _log.error("background_task_returned", task=name)
            except Exception:  # noqa: BLE001 - whatever it was, the queue goes on without it
                _log.exception("background_task_raised", task=name)
            await asyncio.sleep(self._again_s)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if self._over:
            return
        self._over = True
        try:
            _log.critical("background_task_ended", task=task.get_name(), cancelled=task.cancelled(), exc_info=error)
        finally:  # whatever logging does
            self._fallen(task.get_name())


def end_process(_task: str) -> None:
    """End the process so that Ray starts the actor again, which recovers from the journal.

    An exception would not do, for nobody awaits the task; ``ray.actor.exit_actor`` counts as intended, and what has
    ended as intended is not started again.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a full disk, or no stream at all
            stream.flush()
    os._exit(_EXIT_CODE)
