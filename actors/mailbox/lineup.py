"""Where each key stands: in line for its turn, among the suspects, parked, or deferred. Pure.

A key is either busy, its first messages being in flight or its first deferred, or stands in exactly one place.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count, islice

from actors.mailbox.lane import LET_LIE, Entry, KeyLane
from actors.mailbox.shelf import Shelf
from actors.mailbox.turns import Turns, rank_of
from config.topology import Queue


class LineUp:
    """The keys of a queue that have messages in memory.

    Args:
        queue: whose.
        shelves: by partition; open ones alone.
    """

    def __init__(self, queue: Queue, shelves: Mapping[int, Shelf]) -> None:
        self._queue, self._shelves = queue, shelves
        self._lanes: dict[str, KeyLane] = {}
        self._turns = Turns(queue.weights)
        # Keys whose first message was lost, or at which the consumer raised: each in a call of its own. They take turns
        # as the others do, or one tenant's would keep another's waiting.
        self._suspects = Turns(queue.weights)
        self._deferred: list[tuple[float, int, Entry]] = []
        self._numbers = count(1)
        self._found_expired: list[Entry] = []

    @property
    def in_turn(self) -> int:
        """Keys that wait for their turn."""
        return len(self._turns)

    @property
    def deferred(self) -> int:
        """Keys that wait for a time, about."""
        return len(self._deferred)

    @property
    def has_suspects(self) -> bool:
        """Whether any key is under suspicion."""
        return len(self._suspects) > 0

    @property
    def next_event(self) -> float | None:
        """When ``bring_back`` has something to do next."""
        return self._deferred[0][0] if self._deferred else None

    @property
    def has_found_expired(self) -> bool:
        """Whether ``found_expired`` has something to tell."""
        return bool(self._found_expired)

    def append(self, entry: Entry, clock_s: float | None, now: float) -> None:
        """Let a message, that came at a reading of the age clock if not now, follow the others of its key."""
        lane = entry.lane
        before = lane.rank
        lane.append(entry, self._rank(entry, clock_s, now))
        if not lane.busy and not lane.queued:
            self.place(lane, now)
        elif lane.ticket and lane.rank < before:
            self._turns_of(lane).hurry(lane)

    def lane_of(self, key: str) -> KeyLane:
        """Where a key's messages go."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = KeyLane(key)
        return lane

    def length(self, key: str) -> int:
        """Messages of a key, some of which may have gone."""
        lane = self._lanes.get(key)
        return 0 if lane is None else lane.length

    def keys_by_tenant(self) -> Counter[str]:
        """How many keys each tenant has here."""
        return Counter(lane.head.message.tenant for lane in self._lanes.values())

    def place(self, lane: KeyLane, now: float) -> None:
        """Put a key that is neither busy nor in line where its first message belongs."""
        if not lane.prune():
            if self._lanes.get(lane.key) is lane:
                del self._lanes[lane.key]
            return
        head = lane.head
        shelf = self._shelves[head.partition]
        if shelf.blocked:
            lane.queued = True
            shelf.parked[lane] = None
        elif head.not_before > now:
            lane.deferred = True
            lane.freeze(shelf.clock.reading(now))
            heappush(self._deferred, (head.not_before, next(self._numbers), head))
        else:
            lane.suspected = head.suspect
            self._turns_of(lane).add(lane)

    def unpark(self, shelf: Shelf, now: float) -> None:
        """Let the keys go that waited for a partition."""
        parked, shelf.parked = shelf.parked, {}
        for lane in parked:
            lane.queued = False
            self.place(lane, now)

    def next_suspect(self, now: float) -> KeyLane | None:
        """Take the suspect whose turn it is."""
        return self._next(self._suspects, now)

    def next_in_turn(self, now: float) -> KeyLane | None:
        """Take the key whose turn it is."""
        return self._next(self._turns, now)

    def followers(self, lanes: Sequence[KeyLane], run: int, now: float) -> Iterator[Entry]:
        """What may go with the first messages of keys that are delivered now, in order: of each key in turn one more.

        Args:
            lanes: the keys.
            run: messages of one key at most, with its first.
            now: the window's clock.
        """
        behind = [islice(lane.behind_the_first(), run - 1 + LET_LIE) for lane in lanes if lane.head.behind is not None]
        ways = [iter([entry for entry in way if not entry.gone][: run - 1]) for way in behind]
        while ways:
            going = [(way, entry) for way in ways if (entry := self._follower(way, now)) is not None]
            yield from (entry for _, entry in going)
            ways = [way for way, _ in going]

    def bring_back(self, now: float) -> None:
        """Bring back what was deferred until now."""
        while self._deferred and self._deferred[0][0] <= now:
            entry = heappop(self._deferred)[2]
            if not entry.gone:
                entry.lane.thaw(self._shelves[entry.partition].clock.reading(now))
                entry.lane.deferred = False
                self.place(entry.lane, now)

    def withdrawn(self, entry: Entry, now: float) -> None:
        """A message that waited, perhaps for its time, has expired or was taken out by hand."""
        lane = entry.lane
        if lane.flying or lane.head is not entry:
            return
        if lane.deferred:  # and its key with it
            lane.thaw(self._shelves[entry.partition].clock.reading(now))
            lane.deferred = False
        elif lane.ticket:
            if lane.prune() and lane.head.not_before <= now and lane.head.suspect is lane.suspected:
                return
            self._turns_of(lane).remove(lane)
        else:  # parked, where it stays as long as anything of it is left
            if lane.prune():
                return
            for shelf in self._shelves.values():
                shelf.parked.pop(lane, None)
            lane.queued = False
        self.place(lane, now)

    def closed(self, shelf: Shelf, now: float) -> None:
        """All messages of a partition, that is closed now, have gone."""
        parked, shelf.parked = shelf.parked, {}
        for lane in parked:
            lane.queued = False
        for lane in parked | dict.fromkeys(entry.lane for entry in shelf.entries.values()):
            if lane.ticket:
                self._turns_of(lane).remove(lane)
            if lane.deferred and lane.head.gone:
                lane.deferred = False
                lane.thaw(shelf.clock.reading(now))
            if not lane.busy and not lane.queued:
                self.place(lane, now)
        self._found_expired = [entry for entry in self._found_expired if entry.partition in self._shelves]

    def has_found(self, partition: int, seq: int) -> bool:
        """Whether ``found_expired`` will tell of a message."""
        return any((entry.partition, entry.seq) == (partition, seq) for entry in self._found_expired)

    def found_expired(self) -> list[Entry]:
        """What had expired when its turn came. Each is told of once."""
        found, self._found_expired = self._found_expired, []
        return found

    def _rank(self, entry: Entry, clock_s: float | None, now: float) -> float | None:
        if not self._queue.priority:
            return None
        reading = self._shelves[entry.partition].clock.reading(now)
        waited_s = 0.0 if clock_s is None else max(0.0, reading - clock_s)
        return rank_of(entry.message.priority, now - waited_s, self._queue.priority_step_s)

    def _follower(self, way: Iterator[Entry], now: float) -> Entry | None:
        entry = next((one for one in way if not one.gone), None)
        if entry is None or entry.suspect or entry.not_before > now:
            return None
        shelf = self._shelves[entry.partition]
        return None if shelf.blocked or shelf.is_over(entry, now) else entry

    def _turns_of(self, lane: KeyLane) -> Turns:
        return self._suspects if lane.suspected else self._turns

    def _next(self, turns: Turns, now: float) -> KeyLane | None:
        while (lane := turns.next()) is not None:
            if self._may_go(lane, now):
                return lane
            turns.refund()
            self.place(lane, now)
        return None

    def _may_go(self, lane: KeyLane, now: float) -> bool:
        """Whether a key whose turn it is may be delivered; if not, it belongs elsewhere."""
        if lane.prune():
            head = lane.head
            shelf = self._shelves[head.partition]
            if not shelf.blocked and head.suspect is lane.suspected and head.not_before <= now:
                if not shelf.is_over(head, now):
                    return True
                shelf.discard(head)
                self._found_expired.append(head)
        return False
