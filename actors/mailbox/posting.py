"""From messages for a queue to calls of its owners, and to the dead-letter queue where those cannot be reached.

Knows nothing of Ray: the call is given.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actors.mailbox.errors import PublishFailedError
from actors.mailbox.exchange import partition_of
from actors.mailbox.last_resort import Graveyard, LastResort
from actors.mailbox.message import Message
from actors.mailbox.publisher import Errors, GaveUpError, Item, Publisher, PublisherLimits, tried
from config.topology import Queue, Topology

# Queue, group, method, batch and what else the method takes.
Call = Callable[..., Awaitable[Errors]]


class Posting:
    """Has a publisher for each owner. What many tasks publish at once goes together.

    Args:
        topology: of the actors that are there.
        limits: of each publisher.
        last_resort: keeps what an owner that cannot be reached did not take.
        call: calls an owner; answers the errors by partition, and raises nothing.
    """

    def __init__(
        self, topology: Topology, limits: PublisherLimits | None, last_resort: LastResort | None, call: Call
    ) -> None:
        self._limits = PublisherLimits() if limits is None else limits
        self._graveyard = Graveyard(topology, last_resort)
        self._call = call
        self._publishers: dict[tuple[str, int], Publisher] = {}

    def submissions(self, queue: Queue, messages: Sequence[Message], deadline: float, death: str | None) -> list[Any]:
        """What is to be awaited, all of it together, until messages are committed to a queue.

        Args:
            queue: whose owners take them.
            messages: in order.
            deadline: by the event loop's clock.
            death: why they go straight to its dead-letter queue; None for the queue itself.
        """
        by_group: dict[int, list[Item]] = {}
        for message in messages:
            number = partition_of(queue, message)
            by_group.setdefault(queue.group_of(number), []).append((number, tried(message, 0)))
        return [self._submit(queue, group, items, deadline, death) for group, items in by_group.items()]

    async def _submit(
        self, queue: Queue, group: int, items: Sequence[Item], deadline: float, death: str | None
    ) -> None:
        reserve_s = self._graveyard.reserve_s(deadline - asyncio.get_running_loop().time())
        try:
            await self._publisher(queue.name, group, death).publish(items, deadline, reserve_s)
        except GaveUpError as failure:
            reason = failure.detail if death is None else death
            buried = await self._graveyard.bury(queue.name, failure.items, reason, deadline)
            if death is None or not buried:
                raise PublishFailedError(queue.name, buried, failure.detail) from failure

    def _publisher(self, queue: str, group: int, death: str | None) -> Publisher:
        if death is not None:  # rare and each with its own reason: not coalesced
            return Publisher(
                queue, lambda batch: self._call(queue, group, "append_dead_letters", batch, death), self._limits
            )
        publisher = self._publishers.get((queue, group))
        if publisher is None:
            publisher = Publisher(queue, lambda batch: self._call(queue, group, "append", batch), self._limits)
            self._publishers[queue, group] = publisher
        return publisher


async def all_of(work: list[Any]) -> None:
    """Await all of it; raise the first of what went wrong."""
    if len(work) == 1:
        await work[0]
        return
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
