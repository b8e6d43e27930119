"""The deliveries under way, each under a lease of its own. Pure.

A tag is given once: after its lease has run out, or under another owner, it names nothing. So the first tag of an
owner is to be drawn at random from a large range.
"""

from collections.abc import Iterable
from itertools import count
from math import inf

from actors.mailbox.lane import Entry


class Leases:
    """Which messages are in flight, and until when their consumer has time.

    Args:
        first_tag: tags are counted from here.
    """

    def __init__(self, first_tag: int = 1) -> None:
        self._tags = count(first_tag)
        self._held: dict[int, Entry] = {}
        # No lease ends before this. Found anew when it is reached, not with every settlement: what is held is bounded
        # by the prefetch, and most of it is settled long before.
        self._no_end_before = inf

    def __len__(self) -> int:
        return len(self._held)

    @property
    def next_end(self) -> float | None:
        """When a lease may run out next, or None if there is none. May be too early, never too late."""
        return self._no_end_before if self._held else None

    def give(self, entry: Entry, until: float) -> int:
        """Begin a delivery; returns its tag."""
        entry.tag, entry.leased_until = next(self._tags), until
        self._held[entry.tag] = entry
        self._no_end_before = min(self._no_end_before, until)
        return entry.tag

    def held(self, tag: int, now: float) -> Entry | None:
        """The message of a delivery; None if it is not under way, or its lease has run out."""
        entry = self._held.get(tag)
        return None if entry is None or entry.leased_until <= now else entry

    def drop(self, entry: Entry) -> None:
        """End the delivery of a message."""
        del self._held[entry.tag]
        entry.tag = 0

    def extend(self, tags: Iterable[int], until: float, now: float) -> list[int]:
        """Let leases that have not run out end at a time, if that is later.

        Returns:
            The tags that are still held.
        """
        held = []
        for tag in tags:
            entry = self.held(tag, now)
            if entry is not None:
                entry.leased_until = max(entry.leased_until, until)
                held.append(tag)
        return held

    def longest(self, tags: Iterable[int]) -> float | None:
        """When the last of these leases ends; None if none of them is held."""
        entries = (self._held.get(tag) for tag in tags)
        return max((entry.leased_until for entry in entries if entry is not None), default=None)

    def lapsed(self, now: float) -> list[Entry]:
        """The messages whose lease has run out. They stay in flight until they are dropped."""
        if now < self._no_end_before:
            return []
        over = [entry for entry in self._held.values() if entry.leased_until <= now]
        self._no_end_before = min(
            (entry.leased_until for entry in self._held.values() if entry.leased_until > now), default=inf
        )
        return over
