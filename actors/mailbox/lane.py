"""One key's messages in the order of their arrival, and one message's way through the window. Pure state."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import NamedTuple

from actors.mailbox.message import Message
from actors.mailbox.retry import Cause

_numbers = count(1)
# So many messages that have gone from behind a key's first are let lie.
LET_LIE = 32


class History(NamedTuple):
    """What the journal knows of a message's earlier deliveries.

    Attributes:
        clock_s: the partition's age clock when the message was appended; None counts from now.
        retries: rejections that were followed by another try.
        lost: deliveries that were lost with their consumer.
        not_before: by the window's clock.
        deferred_s: time that does not age it, with a deferral that has begun to its end.
        redelivered: whether an earlier owner may have delivered it, or that of the shard from which it came.
    """

    clock_s: float | None = None
    retries: int = 0
    lost: int = 0
    not_before: float = 0.0
    deferred_s: float = 0.0
    redelivered: bool = False


class Entry:
    """One message in the window."""

    __slots__ = (
        "attempts", "behind", "deferred_s", "expires", "gone", "lane", "leased_until", "lost", "lost_before", "message",
        "not_before", "partition", "redelivered", "retries", "seq", "suspect", "tag", "unaged_from_s", "watched",
    )  # fmt: skip

    def __init__(self, partition: int, seq: int, message: Message, history: History, lane: "KeyLane") -> None:
        self.partition, self.seq, self.message, self.lane = partition, seq, message, lane
        self.retries, self.lost, self.not_before = history.retries, history.lost, history.not_before
        # Of its history no more is kept than what is asked for later, for that is of each message in memory.
        self.lost_before, self.redelivered = history.lost, history.redelivered
        self.attempts = 0
        self.deferred_s = history.deferred_s  # time that does not age it, with a deferral that has begun to its end
        self.expires: float | None = None  # by the partition's age clock, before what did not age it
        self.unaged_from_s = 0.0  # what of its lane's frozen time is not its own; negative for an earlier owner's
        self.suspect = history.lost > 0
        self.gone = False  # settled or expired; its place in the lane is cleared later
        self.tag = 0  # of the delivery under way
        self.watched = False  # its shelf will look whether it has expired
        self.leased_until = 0.0  # by the window's clock
        self.behind: Entry | None = None  # in its lane

    @property
    def deliveries(self) -> int:
        """Deliveries by this owner, and those lost under earlier ones."""
        return self.attempts + self.lost_before


class Verdict(NamedTuple):
    """What became of a message, to be written to the journal.

    Attributes:
        cause: why it is settled; None if it will be tried again.
        not_before: when, by the window's clock.
        reason: free text of the consumer's.
    """

    entry: Entry
    cause: Cause | None
    not_before: float
    reason: str


class KeyLane:
    """The messages of one key. The first may be delivered, with some of those that follow it; then the rest wait.

    They wait until all that are in flight have landed, and while the first is deferred. Then the lane is frozen as
    well: none of it ages, for none of it could be delivered.
    """

    __slots__ = (
        "_dropped", "_first", "_frozen_at", "_frozen_s", "_last", "_ranks", "_size", "deferred", "flying", "key",
        "line", "queued", "suspected", "ticket",
    )  # fmt: skip

    def __init__(self, key: str) -> None:
        self.key = key
        # Each message knows the one behind it. Most keys have one alone, and a container would take more than it does.
        self._first: Entry | None = None
        self._last: Entry | None = None
        self._size = 0
        self.flying = 0  # of the first of them, so many are in flight
        self.deferred = False  # the first is
        self.queued = False  # it stands in line for its turn, or parked
        self.suspected = False  # the line is that of the suspects
        self.ticket = 0  # names its place in line for its turn
        self.line = ""  # in which tenant's line
        self._ranks: list[tuple[float, int, Entry]] | None = None
        self._dropped = 0  # since the lane was compacted last
        self._frozen_at: float | None = None
        self._frozen_s = 0.0

    @property
    def head(self) -> Entry:
        """The first message. There must be one."""
        assert self._first is not None
        return self._first

    @property
    def length(self) -> int:
        """Messages, some of which may have gone."""
        return self._size

    @property
    def busy(self) -> bool:
        """Whether none of it can be delivered now, whatever its partition."""
        return self.flying > 0 or self.deferred

    @property
    def frozen(self) -> bool:
        """Whether its messages do not age."""
        return self._frozen_at is not None

    def append(self, entry: Entry, rank: float | None) -> None:
        """Let a message follow; it has a rank where priorities count."""
        if self._last is None:
            self._first = entry
        else:
            self._last.behind = entry
        self._last = entry
        self._size += 1
        if rank is not None:
            self._ranks = [] if self._ranks is None else self._ranks
            heappush(self._ranks, (rank, next(_numbers), entry))

    def behind_the_first(self) -> Iterator[Entry]:
        """The others in order, some of which may have gone."""
        entry = None if self._first is None else self._first.behind
        while entry is not None:
            yield entry
            entry = entry.behind

    @property
    def rank(self) -> float:
        """The lowest of its messages', whichever has it: the first goes before, or that one could not go."""
        ranks = self._ranks
        while ranks and ranks[0][2].gone:
            heappop(ranks)
        return ranks[0][0] if ranks else -inf

    def prune(self) -> bool:
        """Drop what has gone from the front; say whether anything is left."""
        while (first := self._first) is not None and first.gone:
            self._first, first.behind = first.behind, None
            self._size -= 1
        if self._first is None:
            self._last = None
        return self._first is not None

    def drop(self, entry: Entry) -> None:
        """A message has gone. Those that went from behind the first are cleared together, lest they be held with it."""
        entry.gone = True
        self._dropped += 1
        if self._dropped > LET_LIE and 2 * self._dropped > self._size:
            self._compact()

    def _compact(self) -> None:
        # The first may be the one that others are about to ask for.
        self._last, self._size, self._dropped = self.head, 1, 0
        one, self._last.behind = self._last.behind, None
        while one is not None:
            behind, one.behind = one.behind, None
            if not one.gone:
                self._last.behind = self._last = one
                self._size += 1
            one = behind
        if self._ranks is not None:
            self._ranks = [entry for entry in self._ranks if not entry[2].gone]
            heapify(self._ranks)

    def freeze(self, reading: float) -> None:
        """Stop the ageing, at a reading of the age clock."""
        if self._frozen_at is None:
            self._frozen_at = reading

    def thaw(self, reading: float) -> None:
        """Let it age again."""
        if self._frozen_at is not None:
            self._frozen_s, self._frozen_at = self.frozen_s(reading), None

    def frozen_s(self, reading: float) -> float:
        """Seconds of the age clock that it has spent frozen."""
        return self._frozen_s if self._frozen_at is None else self._frozen_s + reading - self._frozen_at

    def expiry(self, entry: Entry, reading: float) -> float | None:
        """When a message of this lane expires, by the age clock, if the lane is not frozen any longer."""
        if entry.expires is None:
            return None
        return entry.expires + self.unaged_s(entry, reading)

    def unaged_s(self, entry: Entry, reading: float) -> float:
        """Seconds of the age clock that have not aged a message of this lane."""
        return self.frozen_s(reading) - entry.unaged_from_s
