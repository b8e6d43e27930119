"""The one timer of a request: its deadline may be changed often at no cost.

``asyncio.timeout`` sets a timer of the event loop each time; here one is set once, looks at the deadline when it rings,
and rings again then. It is set anew at once only for a deadline that is nearer than that.
"""

import asyncio
import math
from types import TracebackType
from typing import Final, Self

_LOOK_S: Final = 1.0


class Timer:
    """Cancels the task that entered it when the deadline is over, and turns that into ``TimeoutError``.

    Entered once, by the task that does the work.

    Attributes:
        deadline: in the event loop's time; infinite until one is set.
        is_over: whether the task was cancelled by it.
    """

    __slots__ = ("_cancelling", "_handle", "_loop", "_rings_at", "_task", "deadline", "is_over")

    def __init__(self) -> None:
        self.deadline, self.is_over = math.inf, False
        self._rings_at = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        """Begin to look."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timer is for a task")
        self._task, self._cancelling = task, task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._arm(min(self.deadline, self._loop.time() + _LOOK_S))
        return self

    def allow(self, seconds: float) -> None:
        """Have the deadline so many seconds from now, in the place of the one before."""
        self.deadline = self._loop.time() + seconds
        if self.deadline < self._rings_at and not self.is_over:
            self._arm(self.deadline)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End looking.

        Raises:
            TimeoutError: the work was cancelled by this timer, and by nobody else.
        """
        if self._handle is not None:
            self._handle.cancel()
        # As asyncio.timeout has it: who else cancelled the task still has it cancelled.
        if self.is_over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _arm(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._rings_at, self._handle = at, self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        if self.deadline <= self._loop.time():
            self.is_over, self._rings_at = True, math.inf
            self._task.cancel()
        elif self.deadline < math.inf:
            self._arm(self.deadline)
        else:
            # Somebody may set one yet.
            self._rings_at = math.inf
