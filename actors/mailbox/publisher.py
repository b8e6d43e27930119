"""Coalescing: what is published while calls to an actor are under way rides together in the next one.

A hop to an actor costs about the same whatever it carries, so under load batches grow by themselves and a lone message
still goes at once. Knows nothing of Ray: the call is given.
"""

import asyncio
import pickle
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from actors.mailbox.errors import JournalUnavailableError, MailboxError, OverloadedError
from actors.mailbox.message import Message
from actors.mailbox.pacing import Company
from actors.mailbox.retry import growing_s

_RETRY_AFTER_S = 0.2
# The plain tuple of a message; much cheaper to pickle than the record.
Packed = tuple[Any, ...]
Item = tuple[int, Packed]
Send = Callable[[bytes], Awaitable[dict[int, MailboxError]]]


class PublisherLimits(NamedTuple):
    """What one publisher may have under way and waiting, for each actor.

    Attributes:
        calls: under way at once.
        beside: messages that must wait before a call goes beside another. A few ride with the next one sooner than they
            are worth a call: at a modest rate that halves the calls, for some milliseconds.
        linger_s: least time between the beginnings of two calls, as long as waiting brings company.
        call_messages: messages of one call.
        call_bytes: their bodies.
        waiting_messages: that may wait for a call; more are refused.
        retry_first_s: before the second try, with jitter; doubles up to ``retry_longest_s``.
        retry_longest_s: see there.
    """

    calls: int = 2
    beside: int = 8
    linger_s: float = 0.015
    call_messages: int = 512
    call_bytes: int = 4_000_000
    waiting_messages: int = 10_000
    retry_first_s: float = 0.02
    retry_longest_s: float = 0.25


class _Ride(NamedTuple):
    items: Sequence[Item]
    size_bytes: int
    answer: "asyncio.Future[dict[int, MailboxError]]"


class Publisher:
    """Sends to one actor. Repeats what may not have been committed, until the deadline: ids make it safe."""

    def __init__(self, queue: str, send: Send, limits: PublisherLimits) -> None:
        self._queue, self._send, self._limits = queue, send, limits
        self._waiting: deque[_Ride] = deque()
        self._waiting_messages = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._company = Company(limits.linger_s)
        self._timer: asyncio.TimerHandle | None = None

    async def publish(self, items: Sequence[Item], deadline: float) -> None:
        """Return when all is committed.

        Args:
            items: partition and packed message.
            deadline: by the event loop's clock.

        Raises:
            OverloadedError: too much waits, here or there.
            JournalUnavailableError: not committed by the deadline, or not known to be.
        """
        most = self._limits.call_messages
        if len(items) <= most:
            await self._insist(items, deadline)
            return
        chunks = [items[start : start + most] for start in range(0, len(items), most)]
        for chunk in chunks:
            await self._insist(chunk, deadline)

    async def _insist(self, items: Sequence[Item], deadline: float) -> None:
        loop = asyncio.get_running_loop()
        error: MailboxError = JournalUnavailableError(self._queue, "not committed in time")
        failures = 0
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    errors = await self._ride(items)
                    if not errors:
                        return
                    error = next(iter(errors.values()))
                    if isinstance(error, OverloadedError) or not error.retryable:
                        raise error
                    failures += 1
                    delay_s = growing_s(failures, self._limits.retry_first_s, self._limits.retry_longest_s)
                    delay_s *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, guards nothing
                    if loop.time() + delay_s >= deadline:
                        break
                    await asyncio.sleep(delay_s)
                    items = [item for item in items if item[0] in errors]
        except TimeoutError:
            pass
        if isinstance(error, JournalUnavailableError):
            raise error
        raise JournalUnavailableError(self._queue, str(error)) from error

    def _ride(self, items: Sequence[Item]) -> "asyncio.Future[dict[int, MailboxError]]":
        if self._waiting_messages + len(items) > self._limits.waiting_messages:
            raise OverloadedError(self._queue, _RETRY_AFTER_S)
        size_bytes = sum(len(message[3]) for _, message in items)
        answer: asyncio.Future[dict[int, MailboxError]] = asyncio.get_running_loop().create_future()
        if self._calls:
            self._company.met()
        self._waiting.append(_Ride(items, size_bytes, answer))
        self._waiting_messages += len(items)
        self._pump()
        return answer

    def _pump(self, *, waited: bool = False) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._calls) < self._limits.calls:
            if self._waiting_messages < self._limits.beside and not waited:
                if self._calls or self._timer is not None:
                    return
                wait_s = self._company.wait_s(loop.time())
                if wait_s > 0:
                    self._timer = loop.call_later(wait_s, self._on_timer)
                    return
            rides = self._next_call()
            if rides:
                self._company.gone(loop.time(), publishers=len(rides), waited=waited)
                self._calls.add(loop.create_task(self._call(rides)))
            waited = False

    def _on_timer(self) -> None:
        self._timer = None
        self._pump(waited=not self._calls)

    def _next_call(self) -> list[_Ride]:
        rides: list[_Ride] = []
        messages = size_bytes = 0
        while self._waiting:
            ride = self._waiting[0]
            full = messages + len(ride.items) > self._limits.call_messages
            if rides and (full or size_bytes + ride.size_bytes > self._limits.call_bytes):
                break
            self._waiting.popleft()
            self._waiting_messages -= len(ride.items)
            if ride.answer.done():
                continue  # its publisher has given up
            messages += len(ride.items)
            size_bytes += ride.size_bytes
            rides.append(ride)
        return rides

    async def _call(self, rides: Sequence[_Ride]) -> None:
        try:
            errors = await self._send(pack(item for ride in rides for item in ride.items))
            for ride in rides:
                if not ride.answer.done():
                    ride.answer.set_result({number: errors[number] for number, _ in ride.items if number in errors})
        except Exception as error:
            for ride in rides:
                if not ride.answer.done():
                    ride.answer.set_exception(error)
            if not isinstance(error, MailboxError):
                raise
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._calls.discard(task)
            self._pump()


def pack(items: Any) -> bytes:
    """Pairs of partition and message, grouped by partition, for ``MailboxActor.append``."""
    grouped: dict[int, list[Packed]] = {}
    for number, message in items:
        messages = grouped.get(number)
        if messages is None:
            grouped[number] = [message]
        else:
            messages.append(message)
    return pickle.dumps(list(grouped.items()), protocol=5)


def packed(message: Message) -> Packed:
    """The plain tuple of a message."""
    return tuple(message)
