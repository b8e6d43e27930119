"""The operators' way to the mailboxes: counting, looking, pausing, redriving, purging. All of its ``.remote()``."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError

from actors.mailbox.errors import JournalUnavailableError, MailboxError, UnknownQueueError
from actors.mailbox.handle import NAMESPACE, MailboxHandle, actor_name
from actors.mailbox.operations import Action, Change, Changed, Count, Look, Place, added
from actors.mailbox.selection import Peeked, Selection, Which
from config.topology import Queue, Topology

_CALL_S = 20.0
# Of one commit.
_BATCH = 500


class Target(NamedTuple):
    """A queue that an operator named: a queue with an owner, and whether its dead letters are meant."""

    queue: Queue
    which: Which


class Progress(NamedTuple):
    """What a redrive or a purge has done.

    Attributes:
        messages: that were changed.
        ids: of the first few of them.
        in_flight: left, for a consumer has them.
        corrupt: left, for their row is damaged, or was when they died.
        worn_out: left, for they were put back too often.
        complete: False where its time or its limit ended it; then it may go on.
        trouble: what ended it early; empty if nothing did.
    """

    messages: int = 0
    ids: tuple[str, ...] = ()
    in_flight: int = 0
    corrupt: int = 0
    worn_out: int = 0
    complete: bool = False
    trouble: str = ""


class MailboxOperator:
    """Operates the queues of one topology. Holds no state but references to the actors."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._handle = MailboxHandle(topology)

    def target(self, name: str, which: Which = "waiting") -> Target:
        """The queue of a name; the name of a dead-letter queue means the dead letters of its source.

        Raises:
            UnknownQueueError: there is none, or it has no dead letters.
        """
        for queue in self._topology.sources():
            dead = self._topology.dead_letter_queue(queue.name)
            if name == dead:
                return Target(queue, "dead")
            if name == queue.name and (dead is not None or which == "waiting"):
                return Target(queue, which)
        raise UnknownQueueError(name, tuple(queue.name for queue in self._topology.sources()))

    async def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        """As ``MailboxHandle.statistics``."""
        return await self._handle.statistics()

    async def pause(self, queue: str, *, paused: bool) -> None:
        """As ``MailboxHandle.pause``; raises ``UnknownQueueError`` as well."""
        await self._handle.pause(self.target(queue).queue.name, paused=paused)

    async def count(self, target: Target, wanted: Selection) -> Count:
        """Counts of what is selected, by tenant and reason; partitions that do not answer are missing."""
        groups = range(target.queue.groups)
        counts = await asyncio.gather(*(self._count(target, group, wanted) for group in groups))
        missing = {number: reason for count in counts for number, reason in count.missing.items()}
        return Count(added([tally for count in counts for tally in count.tallies]), missing)

    async def look(
        self, target: Target, wanted: Selection, *, after: Place, limit: int, body_bytes: int
    ) -> list[tuple[int, Peeked]]:
        """Messages in order of partition and seq.

        Raises:
            JournalUnavailableError: an owner or its journal does not answer.
        """
        seen: list[tuple[int, Peeked]] = []
        for group in range(target.queue.group_of(after.partition), target.queue.groups):
            look = Look(target.which, wanted, after, limit - len(seen), body_bytes)
            seen += await self._ask(target.queue, group, "look", look)
            if len(seen) >= limit:
                break
        return seen

    async def change(
        self,
        target: Target,
        action: Action,
        wanted: Selection,
        *,
        limit: int,
        per_s: float | None,
        timeout_s: float,
    ) -> Progress:
        """Redrive or purge what is selected, batch by batch, each in one commit. What is done is done, and said.

        Args:
            target: which messages of which queue.
            action: what to do.
            wanted: to which of them.
            limit: so many messages at most.
            per_s: so many a second at most; None for as fast as it goes.
            timeout_s: after which no further batch is begun.
        """
        began, progress = time.monotonic(), Progress()
        for group in range(target.queue.groups):
            after: Place | None = Place(target.queue.partitions_of(group)[0])
            while after is not None:
                left = limit - progress.messages
                if left <= 0 or time.monotonic() - began > timeout_s:
                    return progress
                batch = min(left, _BATCH if per_s is None else max(1, min(_BATCH, int(per_s))))
                try:
                    change = Change(action, target.which, wanted, after, batch)
                    changed: Changed = await self._ask(target.queue, group, "change", change)
                except MailboxError as error:
                    return progress._replace(trouble=str(error))
                progress, after = _and(progress, changed), changed.after
                if per_s is not None and after is not None:
                    ahead_s = progress.messages / per_s - (time.monotonic() - began)
                    await asyncio.sleep(min(max(0.0, ahead_s), max(0.0, began + timeout_s - time.monotonic())))
        return progress._replace(complete=True)

    async def _count(self, target: Target, group: int, wanted: Selection) -> Count:
        try:
            count: Count = await self._ask(target.queue, group, "count", target.which, wanted)
        except MailboxError as error:
            return Count([], dict.fromkeys(target.queue.partitions_of(group), str(error)))
        return count

    async def _ask(self, queue: Queue, group: int, method: str, *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(_CALL_S):
                name = actor_name(queue.name, group)
                actor: Any = await asyncio.to_thread(ray.get_actor, name, namespace=NAMESPACE)
                return await getattr(actor, method).remote(*arguments)
        except (RayError, ValueError, TimeoutError) as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, MailboxError):
                raise cause from error
            raise JournalUnavailableError(queue.name, f"its owner does not answer: {type(error).__name__}") from error


def _and(progress: Progress, changed: Changed) -> Progress:
    step = changed.step
    return progress._replace(
        messages=progress.messages + len(step.ids),
        ids=(*progress.ids, *step.ids)[:20],
        in_flight=progress.in_flight + step.in_flight,
        corrupt=progress.corrupt + step.corrupt,
        worn_out=progress.worn_out + step.worn_out,
    )
