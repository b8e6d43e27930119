"""The dead-letter queue without its owner: for messages whose owner could not be reached however often it was tried.

A dead-letter queue has the owner of its source, and needs none to be written: a row is inserted under the message's id
beside whatever the owner does, which a later redrive finds. So it is a unit of work on the partition's shard.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from actors.mailbox.deaths import dead_letter
from actors.mailbox.exchange import shard_of_partition
from actors.mailbox.message import Message
from actors.mailbox.publisher import Item
from actors.mailbox.redriven import published_day, stored_id
from actors.mailbox.rows import columns, otherwise_named
from actors.shards.unit import Transaction, UnitCall, UnitRunner
from config.topology import Topology
from kernel.errors import SpazaError
from kernel.sql import load_queries
from telemetry.log import get_logger

UNIT: Final = "mailbox.dead_letter"
_QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
_RESERVE_S, _RESERVE_PART = 0.5, 0.25
_log = get_logger("mailbox")


class Letters(NamedTuple):
    """Dead letters for one partition of a dead-letter queue."""

    dead_letter_queue: str
    partition: int
    messages: Sequence[Message]


class LastResort(Protocol):
    """Keeps dead letters without the owner of their queue."""

    async def keep(self, letters: Sequence[Letters], *, timeout_s: float) -> None:
        """Return when all are committed; repeating it is harmless.

        Raises:
            SpazaError: not all of them are known to be.
        """


class ShardLastResort:
    """Implements ``LastResort`` by units of work.

    Args:
        shards: which run them.
    """

    def __init__(self, shards: UnitRunner) -> None:
        self._shards = shards

    async def keep(self, letters: Sequence[Letters], *, timeout_s: float) -> None:
        calls = [
            UnitCall(
                UNIT,
                shard_of_partition(one.partition),
                "",  # the owner's role sees all tenants
                (one.dead_letter_queue, one.partition, [tuple(message) for message in one.messages]),
            )
            for one in letters
        ]
        for outcome in await self._shards.run(calls, timeout_s=timeout_s):
            outcome.unwrap()


class Graveyard:
    """Puts what could not be published into dead-letter queues, if there is a last resort and time left."""

    def __init__(self, topology: Topology, last_resort: LastResort | None) -> None:
        self._topology, self._last_resort = topology, last_resort

    def reserve_s(self, timeout_s: float) -> float:
        """The part of a publisher's time that is kept for this."""
        return 0.0 if self._last_resort is None else min(_RESERVE_S, timeout_s * _RESERVE_PART)

    async def bury(self, queue: str, items: Sequence[Item], reason: str, deadline: float) -> bool:
        """Write dead letters of a queue without its owner.

        Args:
            queue: whose.
            items: partition and packed message.
            reason: why they died.
            deadline: by the event loop's clock.

        Returns:
            Whether all of them are committed.
        """
        dead_letter_queue = self._topology.dead_letter_queue(queue)
        left_s = deadline - asyncio.get_running_loop().time()
        if self._last_resort is None or dead_letter_queue is None or left_s <= 0:
            return False
        declared = self._topology.queues[queue]
        by_partition: dict[int, list[Message]] = {}
        for number, packed in items:
            letter = dead_letter(Message._make(packed), declared, "rejected", reason, time.time())
            by_partition.setdefault(number, []).append(letter)
        letters = [Letters(dead_letter_queue, number, messages) for number, messages in by_partition.items()]
        try:
            async with asyncio.timeout(left_s):
                await self._last_resort.keep(letters, timeout_s=left_s)
        except (SpazaError, TimeoutError) as error:
            _log.error("not_dead_lettered", queue=queue, messages=len(items), error=str(error) or "too late")
            return False
        _log.warning("dead_lettered_without_owner", queue=queue, messages=len(items), reason=reason)
        return True


async def keep_dead_letters(transaction: Transaction, arguments: Any) -> None:
    """Insert dead letters; those that are there already are left alone, unless they are settled.

    The insert passes over those whose name is taken, also by one that is being settled in this moment. So it is asked
    afterwards whose these are.
    """
    queue, partition, messages = arguments
    letters = [Message._make(message) for message in messages]
    while letters:
        await transaction.execute(_QUERIES["dead_letter_without_owner"], queue, partition, *columns(letters, queue))
        ids, days = [stored_id(one) for one in letters], [published_day(one) for one in letters]
        taken = await transaction.fetch(_QUERIES["settled_letters"], queue, partition, days, ids)
        places = [row["place"] for row in taken]
        named = otherwise_named(letters, places, [row["headers"] for row in taken])
        letters = [named[place - 1] for place in places]


UNITS: Final[Mapping[str, Callable[[Transaction, Any], Awaitable[Any]]]] = MappingProxyType({UNIT: keep_dead_letters})
