"""What may be missing below a seq: whether a message that came may be the first of its key. Pure.

The database gives the seqs of what units of work write, and their owner hears of the rows in any order. While all lower
ones are accounted for, a row is delivered as soon as it comes; else the journal is looked into first. A seq that is
missing was rolled back or is another queue's, or its transaction is still under way. A look shows which: a transaction
that was under way at one look and is over at a later one, which saw nothing of it, has written nothing here.

A transaction that runs for long, anywhere in the cluster, keeps the gaps of before it open. What comes meanwhile beyond
``MOST_BEYOND`` is not noted: two more looks after its end account for that.

Weakness: who draws a seq and has no transaction id yet is not known to be under way. He gets it within the same row.
"""

from typing import NamedTuple

MOST_BEYOND = 10_000


class _Mark(NamedTuple):
    """Who drew a seq up to ``high`` has a transaction before ``before``."""

    high: int
    before: int


class Gaps:
    """The seqs of one partition that are accounted for: all up to some, and some beyond.

    Attributes:
        highest: that was seen.
    """

    def __init__(self) -> None:
        self.restart(0)

    def restart(self, highest: int) -> None:
        """Up to there anything may be missing."""
        self.highest = highest
        self._next = 0  # all before it is accounted for
        self._beyond: set[int] = set()
        self._mark: _Mark | None = None

    def may_precede(self, seq: int) -> bool:
        """Whether a lower one may be there that was not seen."""
        return seq > self._next

    def see(self, seq: int) -> None:
        """A message has come."""
        self.highest = max(self.highest, seq)
        if seq == self._next or (seq > self._next and len(self._beyond) < MOST_BEYOND):
            self._beyond.add(seq)
            self._close_up()

    def looked(self, highest: int, xmin: int, xmax: int) -> None:
        """All that a look into the journal has shown has come.

        Args:
            highest: as it was before the look.
            xmin: all transactions before it were over.
            xmax: none from it on had begun.
        """
        if self._mark is not None and xmin >= self._mark.before:
            self._next = max(self._next, self._mark.high + 1)
            self._beyond = {seq for seq in self._beyond if seq >= self._next}
            self._mark = None
            self._close_up()
        if self._mark is None and self._next <= highest:
            self._mark = _Mark(highest, xmax)

    def _close_up(self) -> None:
        while self._next in self._beyond:
            self._beyond.discard(self._next)
            self._next += 1
