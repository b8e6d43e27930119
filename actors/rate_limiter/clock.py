"""The time by which windows are counted: the wall clock's, but never backwards. Pure.

Windows are aligned to the wall clock, which somebody may set. Set forward, windows follow at once. Set back, a plain
clock would live through the same minutes again, and through their limits, or, held where it was, would keep everybody
out until it has caught up. This one goes on from where it was, a tenth slower, until the wall clock has caught up.

Weakness: each time that the wall clock is set forward, to where it has not been, a window begins early, with its whole
limit. While it is being caught up windows last up to a ninth longer, and do not end at the minute.
"""

from typing import Final, NamedTuple

# Of real time, while the wall clock is being waited for.
_PACE: Final = 0.9


class Instant(NamedTuple):
    """A moment, twice: Unix seconds of the wall clock, and of the clock that never goes backwards."""

    wall: float
    steady: float

    def until_s(self, end: float) -> float:
        """Real seconds until the steady clock shows ``end``, should nobody set the wall clock meanwhile."""
        return max(0.0, min(end - self.wall, (end - self.steady) / _PACE))


class SteadyClock:
    """Makes a clock that never goes backwards of one that may."""

    __slots__ = ("_monotonic", "_steady")

    def __init__(self) -> None:
        self._steady: float | None = None
        self._monotonic = 0.0

    def read(self, wall: float, monotonic: float) -> Instant:
        """What time it is.

        Args:
            wall: Unix seconds, of a clock that somebody may set.
            monotonic: seconds of a clock that nobody can.
        """
        if self._steady is None:
            self._steady = wall
        else:
            elapsed_s = max(0.0, monotonic - self._monotonic)
            self._steady = max(wall, self._steady + elapsed_s * _PACE)
        self._monotonic = monotonic
        return Instant(wall, self._steady)
