"""How many messages come and go a second, over the last minute. Pure."""

from collections import deque

_OVER_S = 60.0


class Rates:
    """Remembers totals, and how fast they grew."""

    def __init__(self) -> None:
        self._totals: deque[tuple[float, int, int]] = deque()

    def note(self, now: float, *, arrived: int, left: int) -> None:
        """Note how many have come and gone so far; every few seconds."""
        self._totals.append((now, arrived, left))
        # One that is older than a minute stays, to count from.
        while len(self._totals) > 1 and self._totals[1][0] <= now - _OVER_S:
            self._totals.popleft()

    def per_s(self) -> tuple[float, float]:
        """In and out a second, over up to a minute."""
        if len(self._totals) < 2:
            return 0.0, 0.0
        began, ended = self._totals[0], self._totals[-1]
        seconds = max(1e-3, ended[0] - began[0])
        return (ended[1] - began[1]) / seconds, (ended[2] - began[2]) / seconds
