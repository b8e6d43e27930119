"""How long to wait before a part that died is started again. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Pauses that double while a part keeps dying, and begin anew after it has run for a while."""

    first_s: float = 0.1
    most_s: float = 10.0
    steady_s: float = 60.0
    _next_s: float = 0.0

    def after(self, ran_s: float) -> float:
        """The pause after a part that ran for so long (0 for one that did not start)."""
        pause_s = self.first_s if ran_s >= self.steady_s or self._next_s == 0 else self._next_s
        self._next_s = min(pause_s * 2, self.most_s)
        return pause_s
