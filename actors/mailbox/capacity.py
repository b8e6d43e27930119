"""How much may wait: exact counts by tenant, and the refusal of what would be too much. Pure.

A message counts from when its append is admitted until its settlement is committed, so that what stands unsettled in
the journal never exceeds the limit, also not after a crash.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction

from actors.mailbox.errors import OwnerNotReadyError, QueueFullError
from actors.mailbox.message import Message
from config.topology import Queue

_RETRY_AFTER_S = 2.0


class Capacity:
    """What waits in the partitions of one actor, and what may.

    The queue's ``max_length``, and a tenant's share of it, are shared out among its actors by their partitions, to the
    message; within an actor all partitions together have its part. Holds an entry for each tenant that has something
    waiting, and for no other.

    A partition is *open* to appends once it was counted after a takeover. One that could not be counted is opened all
    the same, with what came since: better too much than nothing.

    Args:
        queue: whose.
        partitions: of this actor.
    """

    def __init__(self, queue: Queue, partitions: Collection[int]) -> None:
        self._queue = queue.name
        self.limit = _part(queue.max_length, partitions, queue.partitions)
        # As the share is written: 0.29 of 100 are 29, which they are not in binary.
        share = math.floor(queue.max_length * Fraction(str(queue.tenant_share)))
        self.tenant_limit = max(1, _part(share, partitions, queue.partitions))
        self._total = 0
        self._by_tenant: Counter[str] = Counter()
        self._counts = {number: Counter[str]() for number in partitions}
        # What came and went since the count of a partition began; None while none is under way.
        self._since: dict[int, Counter[str] | None] = dict.fromkeys(partitions)
        self._exact: set[int] = set()
        self._open: set[int] = set()
        # Partitions that will soon be counted for the first time: before that the limit cannot be kept.
        self._expected = set(partitions)
        self.refused = 0

    @property
    def total(self) -> int:
        """All that waits here, as far as it was counted."""
        return self._total

    def tenants(self) -> Mapping[str, int]:
        """What waits by tenant; tenants without anything are not there."""
        return dict(self._by_tenant)

    def waiting(self, number: int) -> int:
        """What waits in a partition, as far as it was counted."""
        return self._counts[number].total()

    def is_exact(self, number: int) -> bool:
        """Whether a partition was counted."""
        return number in self._exact

    def admit(self, number: int, messages: Sequence[Message]) -> None:
        """Count messages that are to be appended to a partition, all of them or none.

        Raises:
            QueueFullError: they would be too many.
            OwnerNotReadyError: what waits is being counted.
        """
        if number not in self._open or self._expected:
            raise OwnerNotReadyError(self._queue, "its owner is counting what waits")
        wanted = Counter(message.tenant for message in messages)
        if (error := self._excess(wanted)) is not None:
            self.refused += len(messages)
            raise error
        self._change(number, wanted)

    def fitting(self, messages: Sequence[Message]) -> tuple[Sequence[Message], QueueFullError | None]:
        """What of a publisher's messages there is room for, in order: of each tenant all or none.

        Each message stands alone, so a tenant that has too many keeps no other's out. But not some of a tenant's, or
        those behind would overtake those before, of the same key, when these are published again.

        Returns:
            The messages, for ``admit``, and what their publisher is to hear of the others, which count as refused.
        """
        error = self._excess(Counter(message.tenant for message in messages))
        if error is None:
            return messages, None
        refused = set(error.refused)
        fitting = [message for message in messages if message.tenant not in refused]
        self.refused += len(messages) - len(fitting)
        return fitting, error

    def appeared(self, number: int, tenants: Mapping[str, int]) -> None:
        """Messages are there that were not admitted: units of work wrote them with their changes."""
        self._change(number, tenants)

    def gone(self, number: int, tenants: Iterable[str]) -> None:
        """Messages wait no more, or were never written: one name for each."""
        self._change(number, {tenant: -times for tenant, times in Counter(tenants).items()})

    def begin_count(self, number: int) -> None:
        """The journal is read as it is in this moment, in which nothing is under way to it. Appends wait."""
        self._since[number] = Counter()
        self._exact.discard(number)
        self._open.discard(number)

    def counted(self, number: int, tenants: Mapping[str, int]) -> None:
        """The journal's answer to ``begin_count``; from now on the partition's count is exact."""
        since = self._since[number]
        assert since is not None
        exact = Counter(tenants)
        exact.update(since)
        exact.subtract(self._counts[number])
        self._since[number] = None
        self._change(number, exact)
        self._exact.add(number)
        self.opened(number)

    def opened(self, number: int) -> None:
        """Let appends in, counted or not."""
        self._open.add(number)
        self._expected.discard(number)

    def closed(self, number: int) -> None:
        """A partition is not owned here any more: forget what waits in it."""
        self._since[number] = None
        self._change(number, {tenant: -times for tenant, times in self._counts[number].items()})
        self._exact.discard(number)
        self._open.discard(number)

    def missing(self, number: int) -> None:
        """A partition cannot be owned for now; the others do not wait for its count."""
        self._expected.discard(number)

    def _excess(self, wanted: Mapping[str, int]) -> QueueFullError | None:
        """Whose messages there is no room for, beside what waits and those before them that have room; None for all."""
        total, refused = self._total, dict[str, tuple[int, str]]()
        for tenant, more in wanted.items():
            if total + more > self.limit:
                refused[tenant] = self.limit, ""
            elif tenant and self._by_tenant[tenant] + more > self.tenant_limit:
                refused[tenant] = self.tenant_limit, tenant
            else:
                total += more
        if not refused:
            return None
        limit, whose = next(iter(refused.values()))
        return QueueFullError(self._queue, limit, whose, _RETRY_AFTER_S, tuple(refused))

    def _change(self, number: int, tenants: Mapping[str, int]) -> None:
        counts, since = self._counts[number], self._since[number]
        for tenant, more in tenants.items():
            if not more:
                continue
            self._total += more
            _add(self._by_tenant, tenant, more)
            _add(counts, tenant, more)
            if since is not None:
                since[tenant] += more


def _part(whole: int, partitions: Iterable[int], of: int) -> int:
    """What some of so many partitions have of a whole; the parts of all of them are the whole, exactly."""
    return sum(whole * (number + 1) // of - whole * number // of for number in partitions)


def _add(counts: Counter[str], tenant: str, more: int) -> None:
    # Below nothing for a moment, where a message is settled before it is known to have appeared.
    left = counts[tenant] + more
    if left:
        counts[tenant] = left
    else:
        del counts[tenant]
