"""Coalescing: what is published while calls to an actor are under way rides together in the next one.

A hop to an actor costs about the same whatever it carries, so under load batches grow by themselves and a lone message
still goes at once. Knows nothing of Ray: the call is given.
"""

import asyncio
import pickle
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from actors.mailbox.errors import (
    FencedError,
    JournalUnavailableError,
    MailboxError,
    OverloadedError,
    OwnerNotReadyError,
    OwnerUnreachableError,
    QueueFullError,
)
from actors.mailbox.message import Message
from actors.mailbox.pacing import Company
from actors.mailbox.rides import Ride, Rides
from kernel.growth import growing_s

_RETRY_AFTER_S = 0.2
_RETRY_COUNT = "x-retry-count"
# What another try may mend at once.
_AGAIN = (OwnerUnreachableError, OwnerNotReadyError, FencedError)
# Of the time that there is, before the second try; so that the third still has time.
_PAUSE_PART = 0.22
# The plain tuple of a message; much cheaper to pickle than the record.
Packed = tuple[Any, ...]
_TENANT = Message._fields.index("tenant")
Item = tuple[int, Packed]
# By partition; of one where not all publishers fared alike, of each in their order.
Errors = dict[int, MailboxError | list[MailboxError | None]]
Send = Callable[[bytes], Awaitable[Errors]]


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
        retry_first_s: before an owner is asked again that is not ready, with jitter; doubles up to ``retry_longest_s``.
        retry_longest_s: see there.
        tries: of an owner that cannot be reached.
        again_first_s: before the second of them, less where the deadline is near, with jitter; then it doubles.
    """

    calls: int = 2
    beside: int = 8
    linger_s: float = 0.015
    call_messages: int = 512
    call_bytes: int = 4_000_000
    waiting_messages: int = 10_000
    retry_first_s: float = 0.02
    retry_longest_s: float = 0.25
    tries: int = 3
    again_first_s: float = 0.5


class GaveUpError(Exception):
    """The owner could not be reached, however often it was tried.

    Attributes:
        items: that are not known to be committed.
        detail: of the last try.
    """

    def __init__(self, items: Sequence[Item], detail: str) -> None:
        super().__init__(items, detail)
        self.items, self.detail = items, detail


class Publisher:
    """Sends to one actor, again where it cannot be reached or is not ready: ids make it safe.

    An owner that cannot be reached is tried a few times; one that is taking its partition over until the deadline. What
    the owner refuses, and a journal that it cannot write, is for who publishes to know at once.
    """

    def __init__(self, queue: str, send: Send, limits: PublisherLimits) -> None:
        self._queue, self._send, self._limits = queue, send, limits
        self._rides = Rides()
        self._calls: set[asyncio.Task[None]] = set()
        self._company = Company(limits.linger_s)
        self._timer: asyncio.TimerHandle | None = None
        self._pump_due = False

    async def publish(self, items: Sequence[Item], deadline: float, reserve_s: float = 0.0) -> None:
        """Return when all is committed. More than one call takes goes in several, one after the other.

        Where some tenants' messages are refused, all that others have is committed before it raises.

        Args:
            items: partition and packed message. Some of them may be committed where it raises.
            deadline: by the event loop's clock.
            reserve_s: before the deadline, in which no new try of an owner that cannot be reached begins.

        Raises:
            OverloadedError: too much waits, here or there.
            QueueFullError: too much waits in the queue, in all or of tenants.
            JournalUnavailableError: not committed by the deadline, or not known to be.
            GaveUpError: the owner could not be reached.
        """
        sent = 0
        full: list[QueueFullError] = []
        refused: set[str] = set()
        for portion in portions(items, self._limits.call_messages, self._limits.call_bytes):
            sent += len(portion)
            # What follows of who was refused would overtake what was, when that is published again.
            going = [item for item in portion if item[1][_TENANT] not in refused] if refused else portion
            if not going:
                continue
            try:
                await self._insist(going, deadline, reserve_s)
            except QueueFullError as error:
                full.append(error)
                refused.update(error.refused)
            except GaveUpError as error:
                if full:  # of whom it can be said truly that it was not kept
                    break
                raise GaveUpError((*error.items, *items[sent:]), error.detail) from error
        if full:
            raise _together(full)

    async def _insist(self, items: Sequence[Item], deadline: float, reserve_s: float) -> None:
        errors = await self._ride(items, deadline)
        if errors == {}:
            return
        loop = asyncio.get_running_loop()
        error: MailboxError | None = None
        pause_s = min(self._limits.again_first_s, (deadline - reserve_s - loop.time()) * _PAUSE_PART)
        failures = tries = 0
        while errors is not None:
            error = _told_of(errors)
            if not isinstance(error, _AGAIN):
                raise error
            items = [item for item in items if item[0] in errors]
            failures += 1
            delay_s = growing_s(failures, self._limits.retry_first_s, self._limits.retry_longest_s)
            unreachable = isinstance(error, OwnerUnreachableError)
            if unreachable:
                tries += 1
                items = [(number, tried(message, tries)) for number, message in items]
                delay_s = growing_s(tries, pause_s, deadline)
            delay_s *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, guards nothing
            late = loop.time() + delay_s >= deadline - (reserve_s if unreachable else 0.0)
            if unreachable and (late or tries >= self._limits.tries):
                raise GaveUpError(items, str(error)) from error
            if late:
                break
            await asyncio.sleep(delay_s)
            errors = await self._ride(items, deadline)
            if errors == {}:
                return
        if error is None:
            raise JournalUnavailableError(self._queue, "not committed in time")
        if isinstance(error, JournalUnavailableError):
            raise error
        raise JournalUnavailableError(self._queue, str(error)) from error

    def _ride(self, items: Sequence[Item], deadline: float) -> "asyncio.Future[dict[int, MailboxError] | None]":
        if self._rides.messages + len(items) > self._limits.waiting_messages:
            raise OverloadedError(self._queue, _RETRY_AFTER_S)
        if self._calls:
            self._company.met()
        answer = self._rides.add(items, deadline)
        if not self._pump_due:
            # After everybody whom the last call has answered has had his say: they ride together.
            self._pump_due = True
            asyncio.get_running_loop().call_soon(self._pump_once)
        return answer

    def _pump_once(self) -> None:
        self._pump_due = False
        self._pump()

    def _pump(self, *, waited: bool = False) -> None:
        loop = asyncio.get_running_loop()
        while self._rides.messages and len(self._calls) < self._limits.calls:
            if self._rides.messages < self._limits.beside and not waited:
                if self._calls or self._timer is not None:
                    return
                wait_s = self._company.wait_s(loop.time())
                if wait_s > 0:
                    self._timer = loop.call_later(wait_s, self._on_timer)
                    return
            rides = self._rides.begin(self._limits.call_messages, self._limits.call_bytes)
            if rides:
                self._company.gone(loop.time(), publishers=len(rides), waited=waited)
                self._calls.add(loop.create_task(self._call(rides)))
            waited = False

    def _on_timer(self) -> None:
        self._timer = None
        self._pump(waited=not self._calls)

    async def _call(self, rides: Sequence[Ride]) -> None:
        try:
            errors = await self._send(pack([ride.items for ride in rides]))
            places = dict.fromkeys(errors, 0)
            for ride in rides:
                own: dict[int, MailboxError] = {}
                for number in {number for number, _ in ride.items} & errors.keys() if errors else ():
                    fate = errors[number]
                    error = fate[places[number]] if isinstance(fate, list) else fate
                    places[number] += 1
                    if error is not None:
                        own[number] = error
                if not ride.answer.done():
                    ride.answer.set_result(own)
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
            self._rides.end(rides)
            self._pump()


def _told_of(errors: Mapping[int, MailboxError]) -> MailboxError:
    """What is told of the errors of several partitions: first what another try would not mend."""
    error = next((one for one in errors.values() if not isinstance(one, _AGAIN)), next(iter(errors.values())))
    if isinstance(error, QueueFullError):
        return _together([one for one in errors.values() if isinstance(one, QueueFullError)])
    return error


def _together(errors: Sequence[QueueFullError]) -> QueueFullError:
    """The first of them, with all who were refused."""
    first = errors[0]
    refused = dict.fromkeys(tenant for error in errors for tenant in error.refused)
    return QueueFullError(first.queue, first.limit, first.tenant, first.retry_after_s, tuple(refused))


def portions(items: Sequence[Item], most: int, most_bytes: int) -> Iterator[Sequence[Item]]:
    """What one publisher has, in order, in pieces of so many messages and bytes of bodies; of one message at least."""
    start = size_bytes = 0
    for at, (_, message) in enumerate(items):
        more_bytes = len(message[3])
        if at > start and (at - start == most or size_bytes + more_bytes > most_bytes):
            yield items[start:at]
            start, size_bytes = at, 0
        size_bytes += more_bytes
    if start < len(items):
        yield items[start:]


def pack(publishers: Sequence[Sequence[Item]]) -> bytes:
    """What several publishers have, grouped by partition with the number of each one's messages.

    For ``MailboxActor.append``, which takes or refuses what one publisher has of a tenant for a partition as a whole.
    """
    grouped: dict[int, tuple[list[Packed], list[int]]] = {}
    for items in publishers:
        if len(items) == 1 and (known := grouped.get(items[0][0])) is not None:  # most often it is like this
            known[0].append(items[0][1])
            known[1].append(1)
            continue
        counts: dict[int, int] = {}
        for number, message in items:
            group = grouped.get(number)
            if group is None:
                group = grouped[number] = ([], [])
            group[0].append(message)
            counts[number] = counts.get(number, 0) + 1
        for number, count in counts.items():
            grouped[number][1].append(count)
    return pickle.dumps([(number, *group) for number, group in grouped.items()], protocol=5)


def packed(message: Message) -> Packed:
    """The plain tuple of a message."""
    return tuple(message)


def tried(message: Message | Packed, times: int) -> Packed:
    """A message, packed, that says how often it was tried before."""
    return (*message[:4], {**message[4], _RETRY_COUNT: times}, *message[5:])
