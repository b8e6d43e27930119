"""Whose turn it is: tenants by their weight, and each with its most urgent key. Pure.

Tenants: deficit round robin with messages of one size. A tenant whose turn has come takes as many keys as it has
weight, and then goes to the end; a flood lengthens only its own line, and an empty line costs nobody a turn. A pick is
O(1) among tenants and O(log keys) within one.

A message that yields goes after those of all tenants that do not, but for one turn in ten, so that it is not starved by
them; where nobody else waits it loses nothing. Among themselves yielding messages take turns in the same manner.

Keys: the lowest rank first, see ``rank_of``; among equals who has stood in line longest.

Weakness: a tenant of weight 100 takes its 100 in a row, so others wait that much longer for their next turn.

Source:
    M. Shreedhar, G. Varghese: Efficient Fair Queuing using Deficit Round Robin, 1995.
"""

from collections import deque
from collections.abc import Mapping
from heapq import heappop, heappush, heapreplace
from itertools import count

from actors.mailbox.lane import KeyLane
from actors.mailbox.message import YIELDS

# Of so many turns one goes to those who yield.
_ONE_IN = 10


def rank_of(priority: int, since: float, step_s: float) -> float:
    """Where a message stands among others of its tenant: lower goes first.

    Who came a step earlier counts as one priority higher. Both rise alike while they wait, so the order of two
    messages never changes and nobody has to look at them again as they age.

    Args:
        priority: 0 to 9.
        since: when it came, by any clock.
        step_s: seconds of waiting that are worth one priority.
    """
    return since - priority * step_s


class _Line:
    """The ready keys of one tenant. A heap; what has left the line or stands elsewhere in it is skipped."""

    __slots__ = ("credit", "keys", "name", "rotation", "size", "weight")

    def __init__(self, name: str, weight: int, rotation: "deque[_Line]") -> None:
        self.name, self.weight, self.rotation = name, weight, rotation
        self.keys: list[tuple[float, int, KeyLane]] = []
        self.size = 0
        self.credit = 0

    def pop(self) -> KeyLane | None:
        while self.keys:
            rank, ticket, lane = self.keys[0]
            if lane.ticket != ticket:
                heappop(self.keys)
                continue
            actual = lane.rank
            if actual > rank:  # what made it urgent has expired
                heapreplace(self.keys, (actual, ticket, lane))
                continue
            heappop(self.keys)
            self.size -= 1
            return lane
        return None


class Turns:
    """Keys that could be delivered. Each key stands in it once at most.

    Args:
        weights: by tenant; who is missing has 1.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = weights
        self._lines: dict[str, _Line] = {}
        self._rotation: deque[_Line] = deque()
        self._yielding: deque[_Line] = deque()
        self._turns_taken = 0
        self._tickets = count(1)
        self._last: _Line | None = None
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, lane: KeyLane) -> None:
        """Put a key in its tenant's line; its first message says which tenant that is, and whether it yields."""
        message = lane.head.message
        yields = YIELDS in message.headers
        name = f"{message.tenant}\n{YIELDS}" if yields else message.tenant
        line = self._lines.get(name)
        if line is None:
            rotation = self._yielding if yields else self._rotation
            line = self._lines[name] = _Line(name, self._weights.get(message.tenant, 1), rotation)
            rotation.append(line)
        lane.queued, lane.line = True, name
        line.size += 1
        self._size += 1
        self._stand(line, lane)

    def hurry(self, lane: KeyLane) -> None:
        """A key in line has become more urgent."""
        self._stand(self._lines[lane.line], lane)

    def remove(self, lane: KeyLane) -> None:
        """Take a key out of line, wherever it stands."""
        self._lines[lane.line].size -= 1
        self._left(lane)

    def next(self) -> KeyLane | None:
        """Take the key whose turn it is."""
        while rotation := self._due():
            line = self._last = rotation[0]
            lane = line.pop() if line.size else None
            if line.credit == 0:
                line.credit = line.weight
            line.credit -= 1
            if not line.size:
                rotation.popleft()
                del self._lines[line.name]
            elif line.credit == 0:
                rotation.rotate(-1)
            if lane is not None:
                self._left(lane)
                return lane
        return None

    def refund(self) -> None:
        """The key that was taken just now cannot go: it has cost its tenant no turn."""
        line = self._last
        if line is not None and self._lines.get(line.name) is line:
            if line.credit == 0:  # it has gone to the end for it
                line.rotation.rotate(1)
            line.credit += 1

    def _due(self) -> "deque[_Line]":
        if not (self._rotation and self._yielding):
            return self._rotation or self._yielding
        self._turns_taken += 1
        return self._rotation if self._turns_taken % _ONE_IN else self._yielding

    def _stand(self, line: _Line, lane: KeyLane) -> None:
        lane.ticket = next(self._tickets)
        heappush(line.keys, (lane.rank, lane.ticket, lane))

    def _left(self, lane: KeyLane) -> None:
        lane.queued, lane.ticket = False, 0
        self._size -= 1
