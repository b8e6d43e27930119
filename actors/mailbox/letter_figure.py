"""How many dead letters a partition says there are: what was counted, and what has come and gone since. Pure.

A commit that is on its way while they are counted may be in the count and be told of as well. So a count counts for
good only where none was; the first one after a takeover holds until there is such a one. They are counted again and
again, ever more rarely, for what others wrote beside the owner nobody tells it.
"""

from typing import NamedTuple

# After a count that held, and after one that did not; each wait is twice the one before.
_FIRST_S, _LONGEST_S = 5.0, 600.0
_SOON_S, _SOON_LONGEST_S = 0.5, 30.0
# A count may take one part in so many of the time.
_PART = 10


class Begun(NamedTuple):
    """A count that has begun, and how things stood then."""

    at: float
    epoch: int
    number: int
    changes: int
    under_way: bool


class LetterFigure:
    """Holds the number.

    Attributes:
        number: of dead letters.
    """

    def __init__(self) -> None:
        self.number = 0
        self._changes = 0
        # How many a lost answer would have told of no other epoch knows.
        self._counted_under = -1
        self._wait_s, self._soon_s, self._due_at = _FIRST_S, _SOON_S, 0.0

    def wanted(self, epoch: int, now: float) -> bool:
        """Whether they are to be counted."""
        return self._counted_under != epoch or now >= self._due_at

    def changed(self, by: int) -> None:
        """So many have come, less those that went."""
        if by:
            self.number += by
            self._changes += 1

    def forget(self) -> None:
        """Nothing is known any more."""
        self.changed(-self.number)

    def begin(self, epoch: int, now: float, *, under_way: bool) -> Begun:
        """Begin a count.

        Args:
            epoch: under which.
            now: seconds, monotonic.
            under_way: whether there are commits, not told of yet, that change how many there are.
        """
        return Begun(now, epoch, self.number, self._changes, under_way)

    def counted(self, begun: Begun, letters: int, now: float, *, under_way: bool) -> None:
        """Take in what was counted.

        Args:
            begun: of the same epoch that is still the partition's.
            letters: as the journal has them.
            now: as ``begin``.
            under_way: as ``begin``.
        """
        is_first = self._counted_under != begun.epoch
        overlapped = under_way or begun.under_way or self._changes != begun.changes
        if is_first or not overlapped:
            self.changed(letters - begun.number)
        if is_first:
            self._wait_s, self._soon_s = _FIRST_S, _SOON_S
        wait_s = self._soon_s if overlapped else self._wait_s
        if overlapped:
            self._soon_s = min(2 * self._soon_s, _SOON_LONGEST_S)
        else:
            self._wait_s, self._soon_s = min(2 * self._wait_s, _LONGEST_S), _SOON_S
        self._counted_under, self._due_at = begun.epoch, now + max(wait_s, _PART * (now - begun.at))
