"""Which messages of a partition are in memory and which are still only in the journal. Pure.

The window is bounded. Once it is full, or after a takeover, messages are *paged*: they come from the journal in the
order of their seq, and what arrives meanwhile is left to its turn. Every message takes exactly one of the two ways.
"""

from collections.abc import Sequence
from typing import NamedTuple

from actors.mailbox.lane import History
from actors.mailbox.lately import Lately
from actors.mailbox.message import Message
from actors.mailbox.window import Window

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

    Attributes:
        paging: whether part of what waits is not in memory.
        read_through: while paging, up to this seq all that waits is in memory.
        max_seen: the highest seq that was seen.
    """

    def __init__(self, window: Window, partition: int, bounds: Bounds, parts: int = 1) -> None:
        self._window, self._partition, self._bounds, self._parts = window, partition, bounds, parts
        self.paging = False
        self.read_through = 0
        self.max_seen = 0
        self._meanwhile: list[Arrival] | None = None
        self._over = Lately()

    def begin(self, low_water: int, max_seen: int) -> None:
        """After a takeover everything from the low water mark on is paged."""
        self.paging, self.read_through, self.max_seen = True, low_water - 1, max_seen
        self._meanwhile = None
        self._over = Lately()

    def is_left_to_page(self, seq: int) -> bool:
        """Whether a message is to come from the journal."""
        return self.paging and seq > self.read_through

    def wants(self, seq: int) -> bool:
        """Whether a message is unknown and would be taken in now."""
        known = self.is_over(seq) or self._window.knows(self._partition, seq)
        return not known and not self.is_left_to_page(seq)

    def is_over(self, seq: int) -> bool:
        """Whether a message was settled lately."""
        return seq in self._over

    def arrive(self, seq: int, message: Message, history: History, now: float) -> bool:
        """Take a message in that is committed; False if it is known, or left to its page."""
        self.max_seen = max(self.max_seen, seq)
        if self.is_over(seq):
            return False
        if self.is_left_to_page(seq):
            if self._meanwhile is not None:
                self._meanwhile.append((seq, message, history))
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
        """Whether there is room for the next page."""
        # Half of what began the paging, lest a page be read for each message that leaves.
        return self.paging and not self._fills(0.5)

    def begin_page(self) -> int:
        """Call it before a page is read; returns the seq from which to read. What arrives from now on is noted."""
        self._meanwhile = []
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
        for seq, message, history in [*page, *followers]:
            self.max_seen = max(self.max_seen, seq)
            if not self.is_over(seq):
                self._window.offer(self._partition, seq, message, now, history)

    def _fills(self, part: float) -> bool:
        """Whether this partition holds such a part of its share, and all of them such a part of the window."""
        shelf, messages, size_bytes = self._window.shelf(self._partition), *(part * bound for bound in self._bounds)
        return (len(shelf.entries) >= messages / self._parts and self._window.size >= messages) or (
            shelf.bytes >= size_bytes / self._parts and self._window.bytes >= size_bytes
        )
