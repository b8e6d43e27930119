"""How far the primary was at which time, and so how far a standby has to be to be fresh enough. Pure; takes ``now``."""

from collections import deque
from typing import Final

# As many as a staleness is divided into; more would tell nothing more.
_PARTS: Final = 4
_KEPT: Final = 64


class Marks:
    """Positions in the primary's log, each with the time before which everything that is in front of it was committed.

    A standby that has replayed a mark shows all that was confirmed before its time. So the oldest mark that is young
    enough is the least that a standby has to have. Weakness: without the primary there are no new marks, and after the
    staleness that is allowed nothing is fresh enough.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, str]] = deque(maxlen=_KEPT)

    def note(self, asked_at: float, position: str) -> None:
        """The primary was asked then, and has said where it is."""
        if not self._marks or asked_at > self._marks[-1][0]:
            self._marks.append((asked_at, position))

    def enough(self, now: float, max_staleness_s: float) -> str | None:
        """The position that a standby has to have replayed; None if the primary has to be asked."""
        return next((position for at, position in self._marks if at >= now - max_staleness_s), None)

    def due(self, now: float, max_staleness_s: float) -> bool:
        """Whether it is time for a new mark, so that there is an old one that is young enough when it is needed."""
        return not self._marks or now - self._marks[-1][0] >= max_staleness_s / _PARTS
