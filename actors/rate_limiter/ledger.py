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
from actors.rate_limiter.keys import Pair, aside_key, hour_key, minute_key
from actors.rate_limiter.window import Used, Windows

# Longer than its window, for an owner that is started at the very end, on another machine's clock.
KEPT_BEYOND_S: Final = 60.0


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
    """What an owner has counted of a window, on its way to Redis.

    Attributes:
        pair: whose.
        window_s: a minute's or an hour's.
        number: of the window.
        value: how much; what is known to be counted aside is not among it.
        kept_s: for how many seconds it is of use.
    """

    pair: Pair
    window_s: int
    number: int
    value: int
    kept_s: float

    @property
    def key(self) -> str:
        """Under which all is kept, what is aside included."""
        return (minute_key if self.window_s == MINUTE_S else hour_key)(self.pair, self.number)

    @property
    def aside_key(self) -> str:
        """Under which is kept what is aside."""
        return aside_key(self.key)


class Earlier(NamedTuple):
    """The keys of a counter's windows at a moment, to be read from Redis."""

    pair: Pair
    minute: int
    hour: int

    @property
    def keys(self) -> tuple[str, str, str, str]:
        """Of what ``Used`` holds."""
        minute, hour = minute_key(self.pair, self.minute), hour_key(self.pair, self.hour)
        return minute, hour, aside_key(minute), aside_key(hour)

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
        # Others may have counted more aside than was heard.
        self._doubted: set[Pair] = set()
        self._swept_hour = 0
        self.forgotten_unwritten = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def unwritten(self) -> int:
        """Counters that have changed since they were written."""
        return len(self._unwritten)

    def unknown(self, checks: Iterable[Check]) -> set[Pair]:
        """Those that are not here or in doubt, and have to be begun before they can be decided."""
        entries, doubted = self._entries, self._doubted
        unknown = {pair for check in checks if (pair := Pair(check.tenant, check.route)) not in entries}
        if doubted:
            unknown.update(pair for check in checks if (pair := check.pair) in doubted)
        return unknown

    def doubt(self) -> None:
        """Others may have counted for all of these: nothing was heard of them for some time."""
        self._doubted.update(self._entries)

    def begin(self, at: Earlier, used: Used | None, limits: Limits) -> None:
        """Begin to count, or, what is counted already, hear what others have counted.

        Args:
            at: whose, and the windows that were asked for.
            used: as Redis has it; None where it could not be asked.
            limits: under which it is asked for.
        """
        self._doubted.discard(at.pair)
        entry = self._entries.get(at.pair)
        if entry is None:
            self._entries[at.pair] = Entry(Windows(at.minute, at.hour, used or Used()), limits)
            if used is None:
                self._earlier_unknown[at.pair] = None
        elif used is not None and at.pair not in self._earlier_unknown:
            entry.windows.hear(MINUTE_S, at.minute, used.minute_aside)
            entry.windows.hear(HOUR_S, at.hour, used.hour_aside)

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
            for window_s, number, present, own in (
                (MINUTE_S, windows.minute, minute, windows.minute_used - windows.minute_aside),
                (HOUR_S, windows.hour, hour, windows.hour_used - windows.hour_aside),
            ):
                if number == present:
                    kept_s = now.until_s((number + 1) * window_s) + KEPT_BEYOND_S
                    values.append(StoredValue(pair, window_s, number, own, kept_s))
        return values

    def hear(self, values: Iterable[StoredValue], aside: Iterable[int]) -> None:
        """Count what others had counted aside by the time that these values were written."""
        for one, counted in zip(values, aside, strict=True):
            entry = self._entries.get(one.pair)
            if entry is not None:
                entry.windows.hear(one.window_s, one.number, counted)

    def earlier_unknown(self, most: int, now: Instant) -> list[Earlier]:
        """Some of the counters that began without what was counted before them."""
        found: list[Earlier] = []
        for pair, _ in zip(self._earlier_unknown, range(most), strict=False):
            windows = self._entries[pair].windows
            windows.roll(now.steady)
            found.append(Earlier(pair, windows.minute, windows.hour))
        return found

    def add_earlier(self, found: Mapping[Earlier, Used]) -> None:
        """Add what was counted before, now that it is known; and have the sums written."""
        for at, used in found.items():
            if at.pair in self._earlier_unknown:
                del self._earlier_unknown[at.pair]
                self._entries[at.pair].windows.add_earlier(at.minute, at.hour, used)
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
        self._doubted.discard(pair)


def used_of(values: Sequence[int], at: int) -> Used:
    """What is used of the counter at a place, of values that were read in the order of their keys."""
    return Used(*values[4 * at : 4 * at + 4])
