"""Which waiting unit gets a shard's next free connection: that of the party that has used them least. Pure.

A party is a tenant, or, among system units, the call that brought them. What counts is the time that its units held
connections, so a tenant with slow units gets as much as one with quick ones, and a single unit of a quiet tenant goes
before the thousandth of a flood.

Connections that are held do not come back before their units end, however slow those are. So whoever has some gets
another only while they are fewer than those that are free: of four, the first gets two, the next one, and the last is
left for a third. Within a party the same holds of its calls.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from typing import Final, Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What can wait here.

    Attributes:
        party: with whom connections are shared fairly.
        source: the call that it came with.
    """

    @property
    def party(self) -> Hashable: ...
    @property
    def source(self) -> Hashable: ...


Item = TypeVar("Item", bound=Waiting)
# Entries of parties that are gone are cleared away when there are more than those of the others, and than these.
_FEW_ENTRIES: Final = 16
# What a party was served when it got in line, a number of its own, and the party.
_Entry = tuple[float, int, Hashable]


class _Party(Generic[Item]):
    __slots__ = ("busy", "busy_of", "in_line", "served_s", "waiting")

    def __init__(self, served_s: float) -> None:
        self.served_s = served_s
        self.busy = 0
        self.busy_of: dict[Hashable, int] = {}
        self.waiting: OrderedDict[Hashable, deque[Item]] = OrderedDict()
        # The entry by which it stands in line; 0 if it does not.
        self.in_line = 0


class FairQueue(Generic[Item]):
    """Start-time fair queuing over parties; within a party calls take turns, within a call the order is kept.

    Weaknesses: what a unit will take is known only afterwards, so a party that turns from quick units to slow ones is
    ahead by as many as it has connections. A party that is alone gets half of them. Parties with slow units that come
    one after the other get half of what is left each, so that three have all of four connections, four all of ten.

    Source: dynamic thresholds for shared buffers, with alpha = 1 (Choudhury and Hahne, 1998).

    Args:
        connections: that there are at most.
    """

    def __init__(self, connections: int) -> None:
        self._free = connections
        self._parties: dict[Hashable, _Party[Item]] = {}
        # Those of which units wait, by what they have been served.
        self._line: list[_Entry] = []
        self._entries = 0
        # What the least served had when it was taken last: who comes anew has no claim to the time before.
        self._served_s = 0.0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def parties(self) -> int:
        """How many have units that wait or run."""
        return len(self._parties)

    def put(self, item: Item, *, again: bool = False) -> None:
        """Let it wait; before the others of its call if it comes again."""
        party = self._parties.get(item.party)
        if party is None:
            party = self._parties[item.party] = _Party(self._served_s)
        units = party.waiting.get(item.source)
        if units is None:
            units = party.waiting[item.source] = deque()
        if again:
            units.appendleft(item)
        else:
            units.append(item)
        self._length += 1
        self._stand_in_line(item.party, party)

    def take(self, expected_s: float) -> Item | None:
        """The next one, for a free connection; None if none waits that may have one.

        Args:
            expected_s: for how long it will hold it, as far as one knows.
        """
        first = self._first()
        if first is None:
            return None
        (_, _, key), source = first
        party = self._parties[key]
        party.in_line = 0
        self._served_s = max(self._served_s, party.served_s)
        party.served_s += expected_s
        item = self._begin(party, source)
        self._stand_in_line(key, party)
        return item

    def has_next(self) -> bool:
        """Whether one waits that may have a free connection."""
        first = self._first()
        if first is not None:
            heapq.heappush(self._line, first[0])
        return first is not None

    def done(self, item: Item, expected_s: float, used_s: float) -> None:
        """One that was taken holds no connection any more.

        Args:
            item: the same.
            expected_s: as it was given to ``take``.
            used_s: for how long it did.
        """
        party = self._parties[item.party]
        self._free += 1
        party.busy -= 1
        party.busy_of[item.source] -= 1
        if not party.busy_of[item.source]:
            del party.busy_of[item.source]
        party.served_s += used_s - expected_s
        self._stand_in_line(item.party, party)
        self._forget_if_idle(item.party, party)

    def remove(self, items: Iterable[Item]) -> None:
        """Those do not wait any more; others of them, which do not wait, are passed over."""
        gone = {id(item): item for item in items}
        for key, source in {(item.party, item.source) for item in gone.values()}:
            party = self._parties.get(key)
            if party is None or source not in party.waiting:
                continue
            units = party.waiting[source]
            left = deque(unit for unit in units if id(unit) not in gone)
            self._length -= len(units) - len(left)
            if left:
                party.waiting[source] = left
            else:
                del party.waiting[source]
            self._forget_if_idle(key, party)

    def _first(self) -> tuple[_Entry, Hashable] | None:
        """Take out of line the first that may have a connection; returns its entry and the call whose turn it is."""
        passed_over: list[_Entry] = []
        found: tuple[_Entry, Hashable] | None = None
        while self._line and self._free and found is None:
            entry = heapq.heappop(self._line)
            served_s, number, key = entry
            party = self._parties.get(key)
            if party is None or party.in_line != number:
                continue
            if served_s < party.served_s or not party.waiting:
                # Served since it got in line.
                party.in_line = 0
                self._stand_in_line(key, party)
                continue
            source = self._whose_turn(party)
            if source is None:
                # Not many, for each of them holds a connection.
                passed_over.append(entry)
            else:
                found = entry, source
        for entry in passed_over:
            heapq.heappush(self._line, entry)
        return found

    def _whose_turn(self, party: _Party[Item]) -> Hashable | None:
        """The call whose unit is the party's next; None if the party, or each of its calls, has what it may have."""
        if party.busy >= self._free:
            return None
        # Of what it may still have, which is half of the difference, as the party of all.
        may_have = (self._free - party.busy) / 2
        return next((one for one in party.waiting if party.busy_of.get(one, 0) < may_have), None)

    def _begin(self, party: _Party[Item], source: Hashable) -> Item:
        units = party.waiting[source]
        item = units.popleft()
        if units:
            party.waiting.move_to_end(source)
        else:
            del party.waiting[source]
        self._length -= 1
        self._free -= 1
        party.busy += 1
        party.busy_of[source] = party.busy_of.get(source, 0) + 1
        return item

    def _stand_in_line(self, key: Hashable, party: _Party[Item]) -> None:
        if party.waiting and not party.in_line:
            self._entries += 1
            party.in_line = self._entries
            heapq.heappush(self._line, (party.served_s, self._entries, key))

    def _forget_if_idle(self, key: Hashable, party: _Party[Item]) -> None:
        if not party.waiting and not party.busy:
            del self._parties[key]
            # While nothing is taken, as of a shard that is down, nobody else clears away.
            if len(self._line) > 2 * len(self._parties) + _FEW_ENTRIES:
                self._line = [one for one in self._line if self._stands(one)]
                heapq.heapify(self._line)

    def _stands(self, entry: _Entry) -> bool:
        party = self._parties.get(entry[2])
        return party is not None and party.in_line == entry[1]
