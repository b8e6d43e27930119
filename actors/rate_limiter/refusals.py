"""What was refused a moment ago, so that it need not be asked again: until the window ends nothing can change. Pure.

As Envoy's rate limit service does it locally. A caller that goes on calling then costs its process next to nothing, and
the owner nothing at all.
"""

from collections import OrderedDict
from typing import NamedTuple

from actors.rate_limiter.decision import MINUTE_S, Decision, Limits, WindowState, retry_after_s
from actors.rate_limiter.keys import Pair
from actors.rate_limiter.ledger import Check


class _Refusal(NamedTuple):
    """What the owner had said ``at`` some time; ``least`` is the smallest cost that cannot be had ``until`` then."""

    limits: Limits
    least: int
    until: float
    minute: WindowState
    hour: WindowState
    at: float


class Refusals:
    """Refusals that still hold. Bounded; of too many the oldest goes, and is only asked about again.

    Args:
        capacity: refusals at most.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        # The one that was noted last stands last.
        self._held: OrderedDict[Pair, _Refusal] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def note(self, check: Check, decision: Decision, asked: float, now: float) -> None:
        """Remember how a check ended, if it was refused.

        The decision was made at some time between the two: it is believed as if early, and told as if late, so that
        neither is anybody refused whose window has ended, nor told too few seconds.

        Args:
            check: that was asked.
            decision: the owner's.
            asked: when it was asked, by any clock that only goes up.
            now: when it was answered.
        """
        minute, hour = decision.minute, decision.hour
        least = min(minute.remaining, hour.remaining) + 1
        lasts_s = retry_after_s(least, 0, minute, hour)
        if decision.is_allowed or lasts_s is None:
            return
        pair = check.pair
        self._held.pop(pair, None)
        if len(self._held) >= self._capacity:
            self._held.popitem(last=False)
        self._held[pair] = _Refusal(check.limits, least, asked + lasts_s, minute, hour, now)

    def find(self, check: Check, now: float) -> Decision | None:
        """The decision, where it is sure without asking: the limits are the same, and there is too little left."""
        pair = check.pair
        held = self._held.get(pair)
        if held is None:
            return None
        if now >= held.until:
            del self._held[pair]
            return None
        if check.limits != held.limits or check.cost < held.least or (check.partly and held.least > 1):
            return None
        minute, hour = held.minute, held.hour
        passed_s = now - held.at
        left_s = minute.resets_in_s - passed_s
        if left_s > 0:
            minute = minute._replace(resets_in_s=left_s)
        else:  # only the hour is used up, and another minute has begun
            minute = WindowState(minute.limit, minute.limit, left_s % MINUTE_S or float(MINUTE_S))
        hour = hour._replace(resets_in_s=hour.resets_in_s - passed_s)
        return Decision(0, check.cost, minute, hour, retry_after_s(check.cost, 0, minute, hour))
