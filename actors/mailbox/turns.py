"""Whose turn it is: tenants one after the other, and each with its most urgent key. Pure.

A tenant's flood lengthens only its own line. Weakness: within a tenant a key of low priority waits as long as there
are others; ageing of priorities is to mend that.
"""

from collections import deque

from actors.mailbox.lane import KeyLane


class _Line:
    """The ready keys of one tenant, by priority."""

    __slots__ = ("by_priority", "tenant")

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.by_priority: dict[int, deque[KeyLane]] = {}

    def next(self) -> KeyLane:
        """Its most urgent key, the longest waiting among equals."""
        urgent = next(iter(self.by_priority)) if len(self.by_priority) == 1 else max(self.by_priority)
        lanes = self.by_priority[urgent]
        lane = lanes.popleft()
        if not lanes:
            del self.by_priority[urgent]
        return lane


class Turns:
    """Keys that could be delivered. Each key stands in it once at most.

    Args:
        by_priority: whether a message's priority counts.
    """

    def __init__(self, *, by_priority: bool) -> None:
        self._by_priority = by_priority
        self._lines: dict[str, _Line] = {}
        self._rotation: deque[_Line] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, lane: KeyLane) -> None:
        """Put a key in its tenant's line; the tenant of its first message counts."""
        message = lane.head.message
        line = self._lines.get(message.tenant)
        if line is None:
            line = self._lines[message.tenant] = _Line(message.tenant)
            self._rotation.append(line)
        priority = message.priority if self._by_priority else 0
        line.by_priority.setdefault(priority, deque()).append(lane)
        lane.queued = True
        self._size += 1

    def next(self) -> KeyLane | None:
        """Take the key whose turn it is."""
        if not self._rotation:
            return None
        line = self._rotation.popleft()
        lane = line.next()
        if line.by_priority:
            self._rotation.append(line)
        else:
            del self._lines[line.tenant]
        lane.queued = False
        self._size -= 1
        return lane
