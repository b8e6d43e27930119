"""The mailbox actor: the owner of a group of a queue's partitions. Thin; what it does is done by its parts."""

import asyncio
import os
import pickle
import secrets
import time
from collections import Counter
from typing import Any, get_args

from actors.doors.doors import Address, Doorway
from actors.mailbox.access import JournalAccess
from actors.mailbox.capacity import Capacity
from actors.mailbox.connections import Connections
from actors.mailbox.consumer import ConsumerAddress, RayConsumer
from actors.mailbox.dispatcher import Dispatcher
from actors.mailbox.errors import MailboxError
from actors.mailbox.exchange import shard_of_partition
from actors.mailbox.figures import Figures
from actors.mailbox.flight import WriterLimits
from actors.mailbox.lane import Verdict
from actors.mailbox.letter_count import LetterCount
from actors.mailbox.limits import check_arrived
from actors.mailbox.maintenance import Maintenance
from actors.mailbox.message import Message, PublishedRow
from actors.mailbox.operations import Change, Changed, Count, Look, Operations
from actors.mailbox.ownership import PartitionPolicy
from actors.mailbox.partition import Partition
from actors.mailbox.postgres_journal import PostgresJournal
from actors.mailbox.publisher import Errors
from actors.mailbox.rates import Rates
from actors.mailbox.retry import Cause
from actors.mailbox.selection import Peeked, Selection, Which
from actors.mailbox.vigil import Vigil, end_process
from actors.mailbox.window import Window
from config.topology import Queue
from kernel.garbage import spare_what_stays
from telemetry.log import configure_logging

# A word about a row that is older than this may come after the row is settled and forgotten; the sweep knows better.
_TOLD_WITHIN_S = 20.0
_DRAIN_S = 3.0
_ENDS = get_args(Cause)
# So many that no tag of an owner before is given again.
_TAG_BITS = 62


class MailboxActor:
    """Owns some partitions of one queue: takes appends, commits them, hands them to the consumer, settles them.

    What survives a crash is in the journal: Ray starts the actor again, it takes its partitions over under a new epoch,
    which fences what the dead one may still have under way, and delivers what is not settled. Should the dispatch or a
    partition's task end, it ends its process for the same to happen. All in one event loop; calls interleave only
    where they wait for a commit.

    Args:
        queue: whose.
        dead_letter_queue: its; empty for none.
        group: which of the queue's actors.
        name: of this actor in Ray.
        access: to the journals.
        consumer: who handles the messages; None for nobody.
        log_level: of this process.
        deployed: name of these settings and of the code.
    """

    async def __init__(  # type: ignore[misc]  # noqa: PLR0917 - Ray awaits it
        self,
        queue: Queue,
        dead_letter_queue: str,
        group: int,
        name: str,
        access: JournalAccess,
        consumer: ConsumerAddress | None,
        log_level: str = "INFO",
        deployed: str = "",
    ) -> None:
        configure_logging(log_level)
        self._deployed = deployed
        self._stopping: asyncio.Task[None] | None = None
        clock = time.monotonic
        self._queue = queue
        window = self._window = Window(queue, secrets.randbits(_TAG_BITS))
        self._capacity = Capacity(queue, queue.partitions_of(group))
        self._dispatcher = Dispatcher(
            queue, window, None if consumer is None else RayConsumer(consumer), self._record, clock
        )
        # By key: two flushes and something else at a time. By shard: one connection to each of many databases.
        size, flushes = (3, 2) if queue.partition_by == "key" else (1, 1)
        self._journals = {
            number: PostgresJournal(
                Connections(access.dsn(number), size),
                queue.name,
                dead_letter_queue,
                number,
            )
            for number in queue.partitions_of(group)
        }
        self._partitions = {
            number: Partition(
                queue,
                number,
                journal,
                window,
                has_dead_letters=bool(dead_letter_queue),
                owner=f"{access.instance_id}/{name}",
                policy=PartitionPolicy(writer=WriterLimits(flushes=flushes, linger_s=queue.settle_linger_ms / 1000)),
                clock=clock,
                wake=self._dispatcher.wake,
                capacity=self._capacity,
            )
            for number, journal in self._journals.items()
        }
        self._operations = Operations(self._partitions)
        self._figures, self._rates = Figures(queue.name), Rates()
        by_shard = {shard_of_partition(number): journal for number, journal in self._journals.items()}
        self._vigil = Vigil(end_process)
        if consumer is not None:
            self._vigil.watch("dispatch", self._dispatcher.run())
        self._vigil.tend("report", self._report)
        self._vigil.tend("letter count", LetterCount(self._partitions.values()).run)
        self._vigil.tend("maintenance", Maintenance(list(by_shard.values())).run)
        for number, partition in self._partitions.items():
            self._vigil.watch(f"partition {number}", partition.run())
        self._doorway = Doorway(self.append)
        self._door = await self._doorway.open()
        spare_what_stays()

    async def ping(self) -> None:
        """Answer."""

    async def deployed(self) -> str:
        """With which settings and code it was started, see ``redeploy``; empty once it has stopped."""
        return self._deployed

    async def door(self) -> Address:
        """Where publishers on its machine reach ``append``."""
        return self._door

    async def append(self, packed: bytes) -> Errors:
        """Commit messages.

        Args:
            packed: pickled partitions, each with plain tuples of ``Message`` and the numbers of them that its
                publishers have; the cheapest way through Ray.

        Returns:
            The error of each partition whose messages may not be committed, or those of its publishers; empty if all
            messages are.
        """
        return await self._on_each(packed, lambda partition, messages, counts: partition.append(messages, counts))

    async def append_dead_letters(self, packed: bytes, reason: str) -> Errors:
        """Commit messages straight to the dead-letter queue; as ``append``."""
        return await self._on_each(
            packed, lambda partition, messages, _: partition.append_dead_letters(messages, reason)
        )

    async def tell(self, packed: bytes, told_at: float) -> None:
        """Take in rows that were published with a change.

        Args:
            packed: pickled tuples of partition, seq and the plain tuple of ``Message``.
            told_at: Unix seconds of the publisher, of the oldest row.
        """
        if time.time() - told_at > _TOLD_WITHIN_S:
            return
        by_partition: dict[int, list[PublishedRow]] = {}
        for number, seq, message in pickle.loads(packed):  # noqa: S301 - comes from our own handle
            row = PublishedRow(self._queue.name, number, seq, Message._make(message))
            check_arrived([row.message])
            by_partition.setdefault(number, []).append(row)
        for number, rows in by_partition.items():
            self._partitions[number].told(rows)

    async def pause(self, paused: bool) -> dict[int, MailboxError]:
        """Stop or go on delivering, for this process and those after it; publishing is not affected."""
        return await self._operations.pause(paused=paused)

    async def drain(self) -> None:
        """Deliver nothing more, as long as this process lives: its end is near."""
        self._dispatcher.pause(paused=True)

    async def count(self, which: Which, wanted: Selection) -> Count:
        """For ``Operations.count``."""
        return await self._operations.count(which, wanted)

    async def look(self, look: Look) -> list[tuple[int, Peeked]]:
        """For ``Operations.look``."""
        return await self._operations.look(look)

    async def change(self, change: Change) -> Changed:
        """For ``Operations.change``."""
        return await self._operations.change(change)

    async def extend(self, tags: list[int], lease_s: float) -> list[int]:
        """Extend leases; returns the tags of those deliveries that are still under way."""
        return self._dispatcher.extend(tags, lease_s)

    async def statistics(self) -> dict[str, Any]:
        """A snapshot of the queue as far as this actor owns it."""
        return self._snapshot()

    async def stop(self) -> None:
        """Deliver nothing more, wait a little for what is in flight, write it, and hand the partitions over.

        Another process of this actor would own them again, this one never does. Who asks again waits with the first.
        """
        self._deployed = ""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        self._dispatcher.pause(paused=True)
        await self._dispatcher.drain(_DRAIN_S)
        await self._vigil.stop()
        await asyncio.gather(*(partition.stop(_DRAIN_S) for partition in self._partitions.values()))
        for journal in self._journals.values():
            await journal.aclose()
        self._doorway.close()

    async def _on_each(self, packed: bytes, write: Any) -> Errors:
        batches = pickle.loads(packed)  # noqa: S301 - comes from our own handle
        numbers = [number for number, _, _ in batches]
        make = Message._make
        results = await asyncio.gather(
            *(write(self._partitions[number], [make(one) for one in many], counts) for number, many, counts in batches),
            return_exceptions=True,
        )
        errors: Errors = {}
        for number, result in zip(numbers, results, strict=True):
            if isinstance(result, MailboxError | list):
                errors[number] = result
            elif isinstance(result, BaseException):
                raise result
        return errors

    def _record(self, verdict: Verdict) -> None:
        self._partitions[verdict.entry.partition].record(verdict)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(2.0)
            snapshot = self._snapshot()
            left = sum(snapshot["counters"].get(cause, 0) for cause in _ENDS)
            arrived = sum(partition.arrived for partition in self._partitions.values())
            self._rates.note(time.monotonic(), arrived=arrived, left=left)
            self._figures.report(snapshot)

    def _snapshot(self) -> dict[str, Any]:
        counters = self._dispatcher.counters + sum(
            (one.counters + one.buried for one in self._partitions.values()), Counter()
        )
        oldest = self._window.oldest_published_at()
        in_per_s, out_per_s = (round(one, 2) for one in self._rates.per_s())
        states = {partition.state.value for partition in self._partitions.values()}
        return {
            "state": "owning" if states == {"owning"} else min(states - {"owning"}),
            "epoch": max(partition.epoch for partition in self._partitions.values()),
            "waiting": sum(partition.waiting for partition in self._partitions.values()),
            "in_flight": self._window.in_flight,
            "oldest_age_s": None if oldest is None else max(0.0, time.time() - oldest),
            # Until every partition was counted these are low.
            "counted": all(partition.counted for partition in self._partitions.values()),
            "dead_letters": sum(partition.dead_letters for partition in self._partitions.values()),
            "counters": dict(counters),
            "max_length": self._capacity.limit,
            "refused": self._capacity.refused,
            "pid": os.getpid(),
            "consumer_up": self._dispatcher.consumer_up,
            "paused": any(partition.paused for partition in self._partitions.values()),
            "draining": self._dispatcher.paused,
            "in_per_s": in_per_s,
            "out_per_s": out_per_s,
            "partitions": {number: partition.statistics() for number, partition in self._partitions.items()},
        }
