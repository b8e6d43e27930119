"""One partition's part of the window: its messages by seq, its age clock, and what expires when. Pure."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from math import inf

from actors.mailbox.ageing import AgeClock
from actors.mailbox.lane import Entry, History, KeyLane
from actors.mailbox.message import Message

# A frozen message is looked at again after so much of the age clock: it expires so much late at most.
_FROZEN_AGAIN_S = 1.0
# What a message alone of its key takes beside its body, about, and what its headers do.
EACH_BYTES, _HEADERS_BYTES, _HEADER_BYTES = 1_100, 100, 100
# So many expiries of messages that are gone are let lie.
_LEFTOVERS = 1_000


def bytes_of(message: Message) -> int:
    """What a message takes in memory while it waits, about and rather too much: with many of a key it is less."""
    headers = len(message.headers)
    return len(message.body) + EACH_BYTES + (_HEADERS_BYTES + _HEADER_BYTES * headers if headers else 0)


class Shelf:
    """The messages of a partition. Begins blocked, with its clock standing."""

    __slots__ = ("_expiries", "blocked", "bytes", "clock", "entries", "held_until", "parked")

    def __init__(self, clock_s: float) -> None:
        self.clock = AgeClock(clock_s)
        self.entries: dict[int, Entry] = {}
        self.bytes = 0  # what they take, see ``bytes_of``
        self.blocked = True
        self.held_until = inf  # by the window's clock; then somebody else may own it
        self.parked: dict[KeyLane, None] = {}  # in order
        # By seq alone, for a message may be gone long before it would have expired.
        self._expiries: list[tuple[float, int]] = []

    @property
    def first(self) -> Entry | None:
        """The message that has been here longest."""
        return next(iter(self.entries.values()), None)

    @property
    def lowest_seq(self) -> int | None:
        """Below it nothing is in memory."""
        return min(self.entries, default=None)

    @property
    def has_expiries(self) -> bool:
        """Whether anything here may expire."""
        return bool(self._expiries)

    def add(self, entry: Entry, history: History, ttl_s: float | None, now: float) -> None:
        """Put a message in, which expires after so many seconds of the age clock, less what it has aged before."""
        self.entries[entry.seq] = entry
        self.bytes += bytes_of(entry.message)
        reading = self.clock.reading(now)
        since, deferred_s = reading, 0.0
        if history.clock_s is not None:
            # What an earlier owner's deferral still has to run is counted while the lane is frozen for it.
            since, deferred_s = min(history.clock_s, reading), history.deferred_s - max(0.0, history.not_before - now)
        entry.unaged_from_s = entry.lane.frozen_s(reading) - max(0.0, deferred_s)
        if ttl_s is not None:
            entry.expires = since + ttl_s
            self.watch(entry, now)

    def watch(self, entry: Entry, now: float) -> None:
        """Expire a message in time. To be called again when it comes back from a delivery."""
        if entry.watched:
            return  # too early perhaps, for an expiry moves only later; then it is looked at again
        expiry = entry.lane.expiry(entry, self.clock.reading(now))
        if expiry is not None:
            entry.watched = True
            heappush(self._expiries, (expiry, entry.seq))
        if len(self._expiries) > 2 * len(self.entries) + _LEFTOVERS:
            self._expiries = [one for one in self._expiries if one[1] in self.entries]
            heapify(self._expiries)

    def next_expiry(self, now: float) -> float | None:
        """When something may expire next; None while the clock stands."""
        if not self.clock.running or not self._expiries:
            return None
        return now + max(0.0, self._expiries[0][0] - self.clock.reading(now))

    def expired(self, now: float) -> Iterator[Entry]:
        """Take out what has expired and is not in flight. Nothing while the clock stands."""
        if not self.clock.running:
            return
        reading = self.clock.reading(now)
        while self._expiries and self._expiries[0][0] <= reading:
            entry = self.entries.get(heappop(self._expiries)[1])
            if entry is None:
                continue
            if entry.tag:
                entry.watched = False  # until it comes back
                continue
            expiry = entry.lane.expiry(entry, reading)
            assert expiry is not None
            if expiry > reading:
                again = max(expiry, reading + _FROZEN_AGAIN_S) if entry.lane.frozen else expiry
                heappush(self._expiries, (again, entry.seq))
                continue
            self.discard(entry)
            yield entry

    def is_over(self, entry: Entry, now: float) -> bool:
        """Whether a message that could be delivered has expired."""
        reading = self.clock.reading(now)
        expiry = entry.lane.expiry(entry, reading)
        return expiry is not None and expiry <= reading

    def discard(self, entry: Entry) -> None:
        """Take a message out."""
        del self.entries[entry.seq]
        self.bytes -= bytes_of(entry.message)
        entry.lane.drop(entry)
