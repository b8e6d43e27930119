"""How much may wait at a shard, and when it is worth coming back. Pure."""

from collections import Counter
from collections.abc import Hashable, Iterable

_SMOOTHING = 0.1
_FIRST_MEAN_S = 0.005
_RETRY_AFTER_MIN_S, _RETRY_AFTER_MAX_S = 0.05, 5.0


class Patience:
    """Counts what is under way or waits, by party; at most half of the room is one party's.

    Args:
        connections: that there are at most.
        waiting: units at most.
    """

    def __init__(self, connections: int, waiting: int) -> None:
        self._connections, self._room = connections, waiting
        self._room_of_one = max(1, waiting // 2)
        self._of: Counter[Hashable] = Counter()
        self.pending = 0
        # For how long a unit holds a connection.
        self.mean_s = _FIRST_MEAN_S

    def admits(self, party: Hashable) -> bool:
        """Count one more, if there is room for it."""
        if self.pending >= self._room or self._of[party] >= self._room_of_one:
            return False
        self.pending += 1
        self._of[party] += 1
        return True

    def gone(self, parties: Iterable[Hashable]) -> None:
        """As many have ended, each of its party."""
        for party in parties:
            self.pending -= 1
            self._of[party] -= 1
            if self._of[party] <= 0:
                del self._of[party]

    def observe(self, used_s: float) -> None:
        """A unit has held a connection for so long."""
        self.mean_s += _SMOOTHING * (used_s - self.mean_s)

    def retry_after_s(self, party: Hashable, refused: int, blocked_s: float) -> float:
        """When there will be room, if nobody else comes.

        Args:
            party: that was refused.
            refused: how many of its units with this one; each needs a place.
            blocked_s: for how long the unit that runs longest has been running, or the one that is refused has waited;
                it counts where it is more than usual.

        Returns:
            Seconds, 0.05 to 5, from the mean time of a unit and the connections that the party gets beside the others.
        """
        parties = max(1, len(self._of))
        # One is left to who comes next, see ``FairQueue``; as many parties as connections take turns.
        is_few = parties < self._connections
        hands = max(1.0, self._connections / (parties + 1)) if is_few else self._connections / parties
        places = refused if self._of[party] >= self._room_of_one else refused * hands / self._connections
        return min(_RETRY_AFTER_MAX_S, max(_RETRY_AFTER_MIN_S, places * max(self.mean_s, blocked_s) / hands))
