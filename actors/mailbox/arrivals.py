"""Which messages of a partition are in memory and which are still only in the journal. Pure.

The window is bounded. Once it is full, or after a takeover, messages are *paged*: they come from the journal in the
order of their seq, and what arrives meanwhile is left to its turn. Every message takes exactly one of the two ways.

Where much is in memory and nothing of it can go, for all of it is deferred or waits for the first of its key, pages are
read on into a reserve. They *step over* keys of which enough is in memory, and tenants that have as many keys there
as there is room left: so each further tenant in trouble gets less of the reserve, and none gets the last of it.

Source:
    A. Choudhury, E. Hahne: Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998.
"""

from collections import Counter
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from actors.mailbox.lane import History
from actors.mailbox.lately import Lately
from actors.mailbox.message import Message
from actors.mailbox.stepped_over import Returning, SteppedOver
from actors.mailbox.window import Window

# What may be in memory, in parts of the window, where nothing of it can go.
_WITH_RESERVE = 1.25
# A key that is stepped over has so many in memory. More come when it has but half of them, some of which may be gone.
_ENOUGH = 64
# Of a key that comes back to a window that is not half full.
_MOST_OF_KEY = 512
# To count the keys of each tenant takes some milliseconds.
_COUNT_AGAIN_S = 0.5

Arrival = tuple[int, Message, History]


class Bounds(NamedTuple):
    """What a window may hold; whichever is reached first."""

    messages: int
    bytes: int


class Arrivals:
    """The way of one partition's messages into the window.

    Args:
        window: shared with the actor's other partitions.
        partition: which.
        bounds: of the whole window, beyond which partitions that hold more than their share are paged.
        parts: how many partitions share it evenly, should all have much.
        enough: messages of a key in memory, from which on it is stepped over where nothing can go.

    Attributes:
        paging: whether part of what waits was not read.
        read_through: while paging, up to this seq all that waits is in memory, or stepped over.
        max_seen: the highest seq that was seen.
    """

    def __init__(
        self, window: Window, partition: int, bounds: Bounds, parts: int = 1, *, enough: int = _ENOUGH
    ) -> None:
        self._window, self._partition, self._bounds, self._parts = window, partition, bounds, parts
        self._enough = enough
        self.paging = False
        self.read_through = 0
        self.max_seen = 0
        self._meanwhile: list[Arrival] | None = None
        self._may_step_over = False
        self._over = Lately()
        self._stepped_over = SteppedOver()
        self._keys_of: Counter[str] = Counter()
        self._counted_at = -inf

    def begin(self, low_water: int, max_seen: int) -> None:
        """After a takeover everything from the low water mark on is paged."""
        self.paging, self.read_through, self.max_seen = True, low_water - 1, max_seen
        self._meanwhile = None
        self._over = Lately()
        self._stepped_over = SteppedOver()

    @property
    def unread_from(self) -> int | None:
        """From this seq on what waits may not be in memory; None if all of it is."""
        read_to = self.read_through + 1 if self.paging else None
        return min((seq for seq in (read_to, self._stepped_over.lowest) if seq is not None), default=None)

    @property
    def stepped_over(self) -> int:
        """Messages that were stepped over."""
        return len(self._stepped_over)

    @property
    def steps_over(self) -> bool:
        """Whether any were."""
        return bool(self._stepped_over)

    def is_left_to_page(self, seq: int) -> bool:
        """Whether a message is to come from the journal."""
        return self.paging and seq > self.read_through

    def wants(self, seq: int) -> bool:
        """Whether a message is unknown and would be taken in now."""
        known = self.is_over(seq) or self._window.knows(self._partition, seq)
        return not known and not self.is_left_to_page(seq) and seq not in self._stepped_over

    def is_over(self, seq: int) -> bool:
        """Whether a message was settled lately."""
        return seq in self._over

    def arrive(self, seq: int, message: Message, history: History, now: float) -> bool:
        """Take a message in that is committed; False if it is known, or is to come from the journal."""
        self.max_seen = max(self.max_seen, seq)
        if self.is_over(seq):
            return False
        if self.is_left_to_page(seq):
            if self._meanwhile is not None:
                self._meanwhile.append((seq, message, history))
            return False
        if self._stepped_over.takes(seq, message):
            return False
        if not self.paging and self._fills(1):
            self.paging, self.read_through = True, seq - 1
            return False
        return self._window.offer(self._partition, seq, message, now, history)

    def settled(self, seq: int, now: float) -> None:
        """Remember for a while that a message is over."""
        self._over.note(seq, now)

    @property
    def page_wanted(self) -> bool:
        """Whether there is room for the next page, or nothing that is in memory can go."""
        if not self.paging:
            return False
        # Half of what began the paging, lest a page be read for each message that leaves.
        return not self._fills(0.5) or (self._stands_still and self._fill < _WITH_RESERVE)

    def begin_page(self) -> int:
        """Call it before a page is read; returns the seq from which to read. What arrives from now on is noted."""
        self._meanwhile = []
        self._may_step_over = self._stands_still and self._fills(0.5)
        return self.read_through + 1

    def abandon_page(self) -> None:
        """The page could not be read."""
        self._meanwhile = None

    def end_page(self, page: Sequence[Arrival], *, last_seq: int | None, now: float) -> None:
        """Take a page in.

        Args:
            page: what it holds, in order.
            last_seq: of a full page; None if it was the last one. Then what arrived meanwhile follows it.
            now: the window's clock.
        """
        meanwhile, self._meanwhile = self._meanwhile or [], None
        if last_seq is None:
            self.paging = False
        else:
            self.read_through = max(self.read_through, last_seq)
        followers = [one for one in meanwhile if last_seq is None or one[0] <= last_seq]
        if self._may_step_over:
            self._count_keys(now)
        for seq, message, history in [*page, *followers]:
            self.max_seen = max(self.max_seen, seq)
            if not self.is_over(seq) and not self._stepped_over.takes(seq, message):
                if self._may_step_over and not self._window.knows(self._partition, seq):
                    self._take_or_step_over((seq, message, history), now)
                else:
                    self._window.offer(self._partition, seq, message, now, history)

    def begin_return(self, most: int, now: float) -> list[Returning]:
        """What was stepped over and may come back now, so many at most. Call it before they are read."""
        if not self._stepped_over:
            return []
        emptied = self._fill < 0.5
        if not emptied and now >= self._counted_at + _COUNT_AGAIN_S:
            self._count_keys(now)
        return self._stepped_over.choose(
            most,
            _MOST_OF_KEY if emptied else self._enough,
            lambda key: 2 * self._window.length(key) < self._enough,
            lambda tenant: emptied or 2 * self._part_of(tenant) < _WITH_RESERVE - self._fill,
        )

    def end_return(self, returning: Sequence[Returning], rows: Sequence[Arrival], read_to: int, now: float) -> None:
        """Take in what has come back.

        Args:
            returning: as it was begun.
            rows: what of it still waits, in order.
            read_to: the others up to this seq do not wait any more.
            now: the window's clock.
        """
        self._stepped_over.came_back(returning, read_to)
        of_tenants = {seq for one in returning if one.of_tenant for seq in one.seqs}
        for seq, message, history in rows:
            if self.is_over(seq):
                continue
            if seq not in of_tenants:
                self._window.offer(self._partition, seq, message, now, history)
            elif self._has_enough(message.key):
                self._stepped_over.note_key(message.key, seq)
            else:
                self._keys_of[message.tenant] += 1
                self._window.offer(self._partition, seq, message, now, history)

    def _take_or_step_over(self, arrival: Arrival, now: float) -> None:
        seq, message, history = arrival
        if self._has_enough(message.key):
            self._stepped_over.note_key(message.key, seq)
        elif self._part_of(message.tenant) >= _WITH_RESERVE - self._fill:
            self._stepped_over.note_tenant(message.tenant, seq)
        else:
            self._keys_of[message.tenant] += not self._window.length(message.key)
            self._window.offer(self._partition, seq, message, now, history)

    def _has_enough(self, key: str) -> bool:
        return self._stepped_over.has_key(key) or self._window.length(key) >= self._enough

    @property
    def _stands_still(self) -> bool:
        return self._window.stands_still and not self._window.shelf(self._partition).blocked

    @property
    def _fill(self) -> float:
        """How full the window is, all partitions together."""
        return max(self._window.size / self._bounds.messages, self._window.bytes / self._bounds.bytes)

    def _part_of(self, tenant: str) -> float:
        """About the part of the window that a tenant's keys take with one message each; as of the last count."""
        return self._fill * self._keys_of[tenant] / max(1, self._window.size)

    def _count_keys(self, now: float) -> None:
        self._keys_of, self._counted_at = self._window.keys_by_tenant(), now

    def _fills(self, part: float) -> bool:
        """Whether this partition holds such a part of its share, and all of them such a part of the window."""
        shelf, messages, size_bytes = self._window.shelf(self._partition), *(part * bound for bound in self._bounds)
        return (len(shelf.entries) >= messages / self._parts and self._window.size >= messages) or (
            shelf.bytes >= size_bytes / self._parts and self._window.bytes >= size_bytes
        )
