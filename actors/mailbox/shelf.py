"""One partition's part of the window: its messages by seq, its age clock, and what expires when. Pure."""

from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf

from actors.mailbox.ageing import AgeClock
from actors.mailbox.lane import Entry, KeyLane

# A frozen message is looked at again after so much of the age clock: it expires so much late at most.
_FROZEN_AGAIN_S = 1.0


class Shelf:
    """The messages of a partition. Begins blocked, with its clock standing."""

    __slots__ = ("_expiries", "blocked", "clock", "entries", "held_until", "parked")

    def __init__(self, clock_s: float) -> None:
        self.clock = AgeClock(clock_s)
        self.entries: dict[int, Entry] = {}
        self.blocked = True
        self.held_until = inf  # by the window's clock; then somebody else may own it
        self.parked: list[KeyLane] = []
        self._expiries: list[tuple[float, int, Entry]] = []

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

    def watch(self, entry: Entry, now: float) -> None:
        """Expire a message in time. To be called again when it comes back from a delivery."""
        expiry = entry.lane.expiry(entry, self.clock.reading(now))
        if expiry is not None:
            heappush(self._expiries, (expiry, entry.seq, entry))

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
            entry = heappop(self._expiries)[2]
            if entry.gone or entry.tag:
                continue  # what is in flight is watched again when it comes back
            expiry = entry.lane.expiry(entry, reading)
            assert expiry is not None
            if expiry > reading:
                again = max(expiry, reading + _FROZEN_AGAIN_S) if entry.lane.frozen else expiry
                heappush(self._expiries, (again, entry.seq, entry))
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
        entry.gone = True
        del self.entries[entry.seq]
