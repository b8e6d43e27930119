"""What waits for a call to an owner, and what is under way in one, each until it has its answer or it is too late."""

import asyncio
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

from actors.mailbox.errors import MailboxError

# Who is to be told that it is too late is told so much late at most. All are looked at for it, so not more often.
_LOOK_S = 0.025
# Timers may come that much early.
_EARLY_S = 0.001


class Ride(NamedTuple):
    """One publisher's messages. The answer is its errors by partition, empty if all went well, None if too late."""

    items: Sequence[tuple[int, tuple[Any, ...]]]
    size_bytes: int
    deadline: float
    answer: "asyncio.Future[dict[int, MailboxError] | None]"


class Rides:
    """The rides to one owner, in order. One timer watches over all deadlines: one for each was a fifth of publishing.

    Attributes:
        messages: that wait for a call.
    """

    def __init__(self) -> None:
        self._waiting: deque[Ride] = deque()
        self._under_way: dict[int, Sequence[Ride]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = inf
        self.messages = 0

    def add(
        self, items: Sequence[tuple[int, tuple[Any, ...]]], deadline: float
    ) -> "asyncio.Future[dict[int, MailboxError] | None]":
        """Let a publisher's messages wait until ``deadline``, by the event loop's clock, for their answer."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[int, MailboxError] | None] = loop.create_future()
        size_bytes = 0
        for _, message in items:
            size_bytes += len(message[3])
        self._waiting.append(Ride(items, size_bytes, deadline, answer))
        self.messages += len(items)
        if deadline < self._looks_at:
            self._look_at(deadline, loop)
        return answer

    def begin(self, most: int, most_bytes: int) -> list[Ride]:
        """Take out what goes with the next call, at least one; ``end`` is told of it. Who has given up stays behind."""
        rides: list[Ride] = []
        messages = size_bytes = 0
        while self._waiting:
            ride = self._waiting[0]
            full = messages + len(ride.items) > most
            if rides and (full or size_bytes + ride.size_bytes > most_bytes):
                break
            self._waiting.popleft()
            self.messages -= len(ride.items)
            if ride.answer.done():
                continue
            messages += len(ride.items)
            size_bytes += ride.size_bytes
            rides.append(ride)
        if rides:
            self._under_way[id(rides)] = rides
        return rides

    def end(self, rides: Sequence[Ride]) -> None:
        """Those of a call have been answered."""
        del self._under_way[id(rides)]

    def _look_at(self, at: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at, self._timer = at, loop.call_at(at, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looks_at, self._timer = inf, None
        now, earliest = loop.time(), inf
        for rides in (self._waiting, *self._under_way.values()):
            for ride in rides:
                if ride.answer.done():
                    continue
                if ride.deadline <= now + _EARLY_S:
                    ride.answer.set_result(None)
                else:
                    earliest = min(earliest, ride.deadline)
        if earliest < inf:
            self._look_at(max(earliest, now + _LOOK_S), loop)
