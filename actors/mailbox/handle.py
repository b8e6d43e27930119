"""The way to the mailboxes: publishing, telling, pausing and figures. All of its ``.remote()`` is here."""

import asyncio
import pickle
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from actors.doors.doors import Address, Doors
from actors.mailbox.errors import FencedError, JournalUnavailableError, MailboxError, OwnerNotReadyError
from actors.mailbox.exchange import Router, addressed
from actors.mailbox.last_resort import LastResort
from actors.mailbox.limits import LONGEST_TEXT, check, check_text
from actors.mailbox.lost_calls import lost_call
from actors.mailbox.message import Delivery, Message, PublishedRow
from actors.mailbox.posting import Posting, all_of
from actors.mailbox.publisher import Errors, PublisherLimits, packed
from actors.mailbox.redriven import never_redriven
from actors.mailbox.snapshots import merged
from actors.mailbox.teller import Teller, Told
from config.topology import Queue, Topology
from telemetry.log import get_logger

NAMESPACE = "spaza"
# A call has so long at most; what it carries may be waited for less.
_CALL_S = 2.5
_STATISTICS_S = 2.0
_LOOK_UP_S = 1.0
_LONGEST_LEASE_S = 3600.0
_STOP_S = 8.0
# Somebody else may own it, whom Ray knows.
_NOT_OWNING = (FencedError, OwnerNotReadyError)
_log = get_logger("mailbox")


def actor_name(queue: str, group: int) -> str:
    """The Ray name of the actor that owns a group of a queue's partitions."""
    return f"mailbox:{queue}:{group}"


class MailboxHandle:
    """Publishes to the mailboxes, coalescing what many tasks publish at once.

    One for each process and event loop. Holds no message that its publisher does not wait for, but what it was told to
    tell, which the owners find without it.
    """

    def __init__(
        self, topology: Topology, limits: PublisherLimits | None = None, last_resort: LastResort | None = None
    ) -> None:
        """Make a handle; it connects when it is used.

        Args:
            topology: of the actors that are there.
            limits: of each publisher.
            last_resort: keeps in the dead-letter queue what an owner that cannot be reached did not take.
        """
        self._topology, self._router = topology, Router(topology)
        self._posting = Posting(topology, limits, last_resort, self._call)
        self._source_of = {topology.dead_letter_queue(queue.name): queue for queue in topology.sources()}
        self._actors: dict[str, Any] = {}
        self._tellers: dict[str, Teller] = {}
        self._doors = Doors(self._door_of)

    async def publish(self, exchange: str, routing_key: str, messages: Sequence[Message], *, timeout_s: float) -> None:
        """Return when the messages are committed on every queue that is bound.

        More than one call to an owner takes goes in several, in order: where it raises, some may be committed. Publish
        all of them again under the same ids.

        Raises:
            UnroutableError: no queue takes them.
            InvalidMessageError: a message cannot be stored; none of them was.
            JournalUnavailableError: not committed in time, or not known to be; publish again under the same ids.
            OverloadedError: too much waits to be written.
            QueueFullError: too much waits in a queue, in all or of the tenants that it names; what others have is
                committed.
            PublishFailedError: there was no owner, nor one that is being started again, in three tries; it says whether
                the messages are in the dead-letter queue now.
        """
        check_text("exchange", exchange)
        check_text("routing_key", routing_key)
        queues, death = self._router.way(exchange, routing_key)
        check(messages)
        messages = [addressed(never_redriven(message), exchange, routing_key) for message in messages]
        deadline = asyncio.get_running_loop().time() + timeout_s
        work = []
        for queue in queues:
            if death:
                work += self._posting.submissions(queue, messages, deadline, death[:LONGEST_TEXT])
                continue
            source = self._source_of.get(queue.name)
            if source is not None:  # straight into a dead-letter queue, whose owner is its source's
                work += self._posting.submissions(source, messages, deadline, f"published to {exchange}")
            else:
                work += self._posting.submissions(queue, messages, deadline, None)
        await all_of(work)

    async def dead_letter(self, queue: str, messages: Sequence[Message], reason: str, *, timeout_s: float) -> None:
        """Put messages straight into a queue's dead-letter queue; raises as ``publish``."""
        check(messages)
        messages = [never_redriven(message) for message in messages]
        deadline = asyncio.get_running_loop().time() + timeout_s
        await all_of(self._posting.submissions(self._topology.queues[queue], messages, deadline, reason[:LONGEST_TEXT]))

    async def tell(self, rows: Sequence[PublishedRow]) -> None:
        """Tell the owners of rows that were published with a change. Best effort: the sweep finds the rest.

        Returns at once; what is told while a call is under way goes with the next one.
        """
        for row in rows:
            queue = self._topology.queues[row.queue]
            name = actor_name(row.queue, queue.group_of(row.partition))
            teller = self._tellers.get(name)
            if teller is None:
                teller = Teller(name, partial(self._tell, name), time.time)
                self._tellers[name] = teller
            teller.tell((row.partition, row.seq, packed(row.message)))

    async def pause(self, queue: str, *, paused: bool) -> None:
        """Stop or go on delivering a queue's messages, until told otherwise; publishing goes on.

        Raises:
            JournalUnavailableError: some owner could not note it; the others have. It may be repeated.
        """
        errors: dict[int, MailboxError] = {}
        for group, answer in enumerate(await self._order_all(queue, "pause", paused)):
            if isinstance(answer, MailboxError):
                errors.update(dict.fromkeys(self._topology.queues[queue].partitions_of(group), answer))
            else:
                errors.update(answer)
        if errors:
            number, error = next(iter(errors.items()))
            detail = f"{len(errors)} of {self._topology.queues[queue].partitions} partitions, such as {number}: {error}"
            raise JournalUnavailableError(queue, detail)

    async def drain(self, queue: str) -> None:
        """Deliver nothing more under the owners' present processes; for their end.

        Raises:
            JournalUnavailableError: an owner could not be reached; the others have been told.
        """
        for answer in await self._order_all(queue, "drain"):
            if isinstance(answer, MailboxError):
                raise answer

    async def extend(self, deliveries: Sequence[Delivery], lease_s: float) -> list[Delivery]:
        """Let the leases of deliveries end no earlier than so many seconds from now. ``Heartbeat`` does it regularly.

        Args:
            deliveries: as a consumer got them.
            lease_s: at most an hour.

        Returns:
            Those that are still held, in order. The others are delivered again, and their outcomes refused.

        Raises:
            ValueError: ``lease_s`` is not above 0 and at most an hour.
            JournalUnavailableError: an owner could not be reached; the leases run on.
        """
        if not 0 < lease_s <= _LONGEST_LEASE_S:
            raise ValueError(f"lease_s is above 0 and at most {_LONGEST_LEASE_S:g}, not {lease_s!r}")
        by_owner: dict[tuple[str, str], list[Delivery]] = {}
        for delivery in deliveries:
            group = self._topology.queues[delivery.queue].group_of(delivery.partition)
            by_owner.setdefault((delivery.queue, actor_name(delivery.queue, group)), []).append(delivery)
        held: set[int] = set()
        for (queue, name), theirs in by_owner.items():
            held.update(await self._order(queue, name, "extend", [delivery.tag for delivery in theirs], lease_s))
        return [delivery for delivery in deliveries if delivery.tag in held]

    async def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        """By queue: state, epoch, waiting, in_flight, oldest_age_s, dead_letters, counters, and its partitions.

        A queue whose owner does not answer has ``{"state": "unreachable"}`` instead.
        """
        sources = self._topology.sources()
        answers = await asyncio.gather(*(self._statistics(queue) for queue in sources))
        return {queue.name: answer for queue, answer in zip(sources, answers, strict=True)}

    async def stop(self) -> None:
        """Let the owners write what is settled and hand their partitions over. They take no more after that."""
        names = [name for queue in self._topology.sources() for name in self._actor_names(queue.name)]
        await asyncio.gather(*(self._stop(name) for name in names))

    async def _call(self, queue: str, group: int, method: str, batch: bytes, *arguments: Any) -> Errors:
        name = actor_name(queue, group)
        try:
            async with asyncio.timeout(_CALL_S):
                errors: Errors
                door = self._doors.of(name) if method == "append" else None
                if door is not None:
                    with suppress(ConnectionError):  # Ray knows more of it; under the same ids it may go twice
                        errors = await door.call(batch)
                        if any(isinstance(error, _NOT_OWNING) for error in errors.values()):
                            self._doors.leave(name)
                        return errors
                actor = await self._actor(name)
                errors = await getattr(actor, method).remote(batch, *arguments)
                return errors
        except (RayError, ValueError, TimeoutError) as error:
            self._doors.leave(name)
            # A fault of the owner's own may be both: Ray's, and what was raised.
            is_gone = isinstance(error, ValueError) and not isinstance(error, RayError)
            is_gone = is_gone or (isinstance(error, RayActorError) and await self._is_gone(name))
            lost = lost_call(queue, f"actor {name}: {type(error).__name__}", error, is_gone=is_gone)
            return dict.fromkeys((number for number, _, _ in pickle.loads(batch)), lost)  # noqa: S301 - packed here

    async def _is_gone(self, name: str) -> bool:
        """Whether Ray knows no such actor any more. One that it starts again keeps its name meanwhile."""
        self._actors.pop(name, None)
        self._doors.leave(name)
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                await self._actor(name)
        except ValueError:
            return True
        except (RayError, TimeoutError) as error:
            _log.warning("mailbox_not_looked_up", actor=name, error=type(error).__name__)
        return False

    async def _door_of(self, name: str) -> Address:
        try:
            async with asyncio.timeout(_CALL_S):
                door: Address = await (await self._actor(name)).door.remote()
                return door
        except (RayError, ValueError) as error:
            raise ConnectionError(type(error).__name__) from error

    async def _tell(self, name: str, rows: Sequence[Told], told_at: float) -> None:
        try:
            await (await self._actor(name)).tell.remote(pickle.dumps(rows, protocol=5), told_at)
        except (RayError, ValueError):
            self._actors.pop(name, None)
            raise

    async def _order_all(self, queue: str, method: str, *arguments: Any) -> list[Any]:
        """What each owner answers, by group; where it could not be reached the error. One keeps no other waiting."""
        work = (self._order(queue, name, method, *arguments) for name in self._actor_names(queue))
        answers = await asyncio.gather(*work, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, MailboxError):
                raise answer
        return answers

    async def _order(self, queue: str, name: str, method: str, *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(_CALL_S):
                return await getattr(await self._actor(name), method).remote(*arguments)
        except (RayError, ValueError, TimeoutError) as error:
            self._actors.pop(name, None)
            raise JournalUnavailableError(queue, f"its owner cannot be reached: {type(error).__name__}") from error

    async def _statistics(self, queue: Queue) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(_STATISTICS_S):
                answers = [
                    await (await self._actor(name)).statistics.remote() for name in self._actor_names(queue.name)
                ]
        except (RayError, ValueError, TimeoutError) as error:
            if isinstance(error, RayActorError):  # it may have been replaced
                for name in self._actor_names(queue.name):
                    self._actors.pop(name, None)
            _log.warning("mailbox_statistics_missing", queue=queue.name, error=type(error).__name__)
            return {"state": "unreachable"}
        return merged(answers)

    async def _stop(self, name: str) -> None:
        try:
            async with asyncio.timeout(_STOP_S):
                await (await self._actor(name)).stop.remote()
        except (RayError, ValueError, TimeoutError) as error:
            _log.warning("mailbox_stop_failed", actor=name, error=type(error).__name__)

    def _actor_names(self, queue: str) -> list[str]:
        return [actor_name(queue, group) for group in range(self._topology.queues[queue].groups)]

    async def _actor(self, name: str) -> Any:
        actor = self._actors.get(name)
        if actor is None:
            # Looking a name up asks Ray's control service and blocks.
            actor = await asyncio.to_thread(ray.get_actor, name, namespace=NAMESPACE)
            self._actors[name] = actor
        return actor
