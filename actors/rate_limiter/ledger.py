"""The counters of all tenants that one limiter owns, and what of them is still to be written. Pure.

It never holds more than ``capacity`` counters: who has used nothing for an hour has nothing to remember, and above that
those go first that were not asked for longest, which are read from Redis again when they are.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from actors.rate_limiter.clock import Instant
from actors.rate_limiter.decision import HOUR_S, MINUTE_S, Limits
from actors.rate_limiter.keys import Pair, hour_key, minute_key
from actors.rate_limiter.window import Windows

# Longer than its window, for an owner that is started at the very end, on another machine's clock.
_KEPT_BEYOND_S: Final = 60.0


class Check(NamedTuple):
    """A question: may this tenant do so much on this route now?

    Attributes:
        cost: how much, 0 to be told only.
        partly: whether less than that will do.
        correlation_id: under which what is asked for is followed, for the logs of who asks.
    """

    tenant: str
    route: str
    limits: Limits
    cost: int = 1
    partly: bool = False
    correlation_id: str = ""

    @property
    def pair(self) -> Pair:
        """What it is counted under."""
        return Pair(self.tenant, self.route)


class Verdict(NamedTuple):
    """The answer in its shortest form: what was admitted, and what is used of the minute and of the hour now."""

    admitted: int
    minute_used: int
    hour_used: int


class Entry:
    """One counter, and the limits under which it was last asked."""

    __slots__ = ("limits", "windows")

    def __init__(self, windows: Windows, limits: Limits) -> None:
        self.windows, self.limits = windows, limits


class StoredValue(NamedTuple):
    """A value on its way to Redis, and for how many seconds it is of use."""

    key: str
    value: int
    kept_s: float


class Earlier(NamedTuple):
    """The keys of a counter's windows at a moment, to be read from Redis."""

    pair: Pair
    minute: int
    hour: int

    @property
    def keys(self) -> tuple[str, str]:
        """Of the minute and of the hour."""
        return minute_key(self.pair, self.minute), hour_key(self.pair, self.hour)

    @classmethod
    def of(cls, pair: Pair, now: Instant) -> "Earlier":
        """Those of a moment."""
        return cls(pair, int(now.steady // MINUTE_S), int(now.steady // HOUR_S))


class Ledger:
    """Decides, counts, and knows what is to be written. Not safe for threads; an event loop's own."""

    def __init__(self, capacity: int) -> None:
        """Begin empty.

        Args:
            capacity: counters at most.
        """
        self._capacity = capacity
        self._entries: OrderedDict[Pair, Entry] = OrderedDict()
        self._unwritten: dict[Pair, None] = {}
        # Counting began without what an owner before this one may have written.
        self._earlier_unknown: dict[Pair, None] = {}
        self._swept_hour = 0
        self.forgotten_unwritten = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def unwritten(self) -> int:
        """Counters that have changed since they were written."""
        return len(self._unwritten)

    def unknown(self, checks: Iterable[Check]) -> set[Pair]:
        """Those that are not here, and have to be begun before they can be decided."""
        entries = self._entries
        return {pair for check in checks if (pair := Pair(check.tenant, check.route)) not in entries}

    def begin(self, at: Earlier, used: tuple[int, int] | None, limits: Limits) -> None:
        """Begin to count, unless it is counted already.

        Args:
            at: whose, and the windows that were asked for.
            used: of the minute and the hour, as Redis has it; None where it could not be asked.
            limits: under which it is asked for.
        """
        if at.pair in self._entries:
            return
        minute_used, hour_used = (0, 0) if used is None else used
        windows = Windows(at.minute, minute_used, at.hour, hour_used)
        self._entries[at.pair] = Entry(windows, limits)
        if used is None:
            self._earlier_unknown[at.pair] = None

    def decide(self, check: Check, now: Instant) -> Verdict:
        """Decide one check, whose counter has begun."""
        pair = Pair(check.tenant, check.route)
        entry = self._entries[pair]
        self._entries.move_to_end(pair)
        entry.limits = check.limits
        windows = entry.windows
        windows.roll(now.steady)
        admitted = windows.take(check.limits, check.cost, partly=check.partly)
        if admitted:
            self._unwritten[pair] = None
        return Verdict(admitted, windows.minute_used, windows.hour_used)

    def take_unwritten(self, most: int) -> list[Pair]:
        """Take some of those that are to be written; ``still_unwritten`` gives them back.

        Not of those that began without what was counted before them, which they would replace.
        """
        known = (pair for pair in self._unwritten if pair not in self._earlier_unknown)
        taken = list(islice(known, most))
        for pair in taken:
            del self._unwritten[pair]
        return taken

    def still_unwritten(self, pairs: Collection[Pair]) -> None:
        """These could not be written."""
        self._unwritten.update(dict.fromkeys(pair for pair in pairs if pair in self._entries))

    def values(self, pairs: Iterable[Pair], now: Instant) -> list[StoredValue]:
        """What is to be written of these, of windows that have not passed."""
        values: list[StoredValue] = []
        minute, hour = int(now.steady // MINUTE_S), int(now.steady // HOUR_S)
        for pair in pairs:
            entry = self._entries.get(pair)
            if entry is None:
                continue
            windows = entry.windows
            for key, number, present, used, window_s in (
                (minute_key, windows.minute, minute, windows.minute_used, MINUTE_S),
                (hour_key, windows.hour, hour, windows.hour_used, HOUR_S),
            ):
                if number == present:
                    kept_s = now.until_s((number + 1) * window_s) + _KEPT_BEYOND_S
                    values.append(StoredValue(key(pair, number), used, kept_s))
        return values

    def earlier_unknown(self, most: int, now: Instant) -> list[Earlier]:
        """Some of the counters that began without what was counted before them."""
        found: list[Earlier] = []
        for pair, _ in zip(self._earlier_unknown, range(most), strict=False):
            windows = self._entries[pair].windows
            windows.roll(now.steady)
            found.append(Earlier(pair, windows.minute, windows.hour))
        return found

    def add_earlier(self, found: Mapping[Earlier, tuple[int, int]]) -> None:
        """Add what was counted before, now that it is known; and have the sums written."""
        for at, (minute_used, hour_used) in found.items():
            if at.pair in self._earlier_unknown:
                del self._earlier_unknown[at.pair]
                self._entries[at.pair].windows.add_earlier(at.minute, minute_used, at.hour, hour_used)
                self._unwritten[at.pair] = None

    def sweep(self, now: Instant) -> None:
        """Forget who has used nothing in this hour, once in each; above the capacity, who was not asked for longest.

        Args:
            now: the moment.
        """
        hour = int(now.steady // HOUR_S)
        if hour > self._swept_hour:
            self._swept_hour = hour
            for pair in [pair for pair, entry in self._entries.items() if entry.windows.hour < hour]:
                self._forget(pair)
        while len(self._entries) > self._capacity:
            pair = next(iter(self._entries))
            self.forgotten_unwritten += pair in self._unwritten
            self._forget(pair)

    def busiest(self, most: int, now: Instant) -> list[tuple[Pair, Entry]]:
        """The counters of the tenants that have used most in this hour, each tenant's together."""
        used: dict[str, int] = {}
        for pair, entry in self._entries.items():
            entry.windows.roll(now.steady)
            used[pair.tenant] = used.get(pair.tenant, 0) + entry.windows.hour_used
        top = sorted((tenant for tenant in used if used[tenant]), key=lambda tenant: (-used[tenant], tenant))[:most]
        place = {tenant: at for at, tenant in enumerate(top)}
        found = [(pair, entry) for pair, entry in self._entries.items() if pair.tenant in place]
        return sorted(found, key=lambda one: (place[one[0].tenant], one[0].route))

    def tenants(self) -> int:
        """How many tenants have a counter."""
        return len({pair.tenant for pair in self._entries})

    def _forget(self, pair: Pair) -> None:
        del self._entries[pair]
        self._unwritten.pop(pair, None)
        self._earlier_unknown.pop(pair, None)


def used_of(values: Sequence[int], at: int) -> tuple[int, int]:
    """The minute's and the hour's of the counter at a place, of values that were read in the order of their keys."""
    return values[2 * at], values[2 * at + 1]
