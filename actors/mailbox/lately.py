"""Which messages of a partition were settled lately. Pure.

A read of the journal, or a late word of a publisher, may still bring such a one. At 15,000 a second they are a million,
so they are kept as bits: those of a backlog follow each other, and 256 of them cost 130 bytes; in a set each costs 75.
Weakness: so does one that stands alone among the seqs of other queues.
"""

# What was settled longer ago than this cannot arrive any more by a slow read or a late word of its publisher.
REMEMBERED_S = 60.0
# Seqs whose bits are kept together.
_BITS = 8
_MASK = (1 << _BITS) - 1


class Lately:
    """Seqs, each for so long at least, and for twice as long at most while others come."""

    __slots__ = ("_before", "_now", "_turned")

    def __init__(self) -> None:
        self._now: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._turned = 0.0

    def note(self, seq: int, now: float) -> None:
        """Remember a seq from now on."""
        if now - self._turned > REMEMBERED_S:
            self._before, self._now, self._turned = self._now, {}, now
        block = seq >> _BITS
        self._now[block] = self._now.get(block, 0) | 1 << (seq & _MASK)

    def __contains__(self, seq: int) -> bool:
        block = seq >> _BITS
        return (self._now.get(block, 0) | self._before.get(block, 0)) >> (seq & _MASK) & 1 == 1
