"""Limits of a minute and of an hour: what is taken of them, both or none. Pure.

The windows are fixed and aligned to the clock, as Kong's are. Unlike Kong, which looks first and counts later, looking
and counting are one step here. A call that is refused is not counted, so who obeys ``retry_after_s`` gets through,
however often others have been refused meanwhile.

Weakness of fixed windows: a caller may spend a minute's limit in its last second and the next one's in its first, twice
the limit within two seconds; the hour's limit bounds how often. And at the beginning of a minute all who were refused
come at once. A sliding window has neither weakness, but needs more than a number, and cannot say in advance when a
refused call will get through. Who must not be met by such bursts limits the connections to what it protects.
"""

from typing import NamedTuple

from actors.rate_limiter.decision import HOUR_S, MINUTE_S, Limits


class Used(NamedTuple):
    """What is used of a minute and of an hour, and how much of that was counted aside: by others than the owner."""

    minute: int = 0
    hour: int = 0
    minute_aside: int = 0
    hour_aside: int = 0


_NOTHING = Used()


class Windows:
    """What one tenant has used on one route in the present minute and the present hour.

    Whatever the order of the times that it is given, a window that has passed does not come back.
    """

    __slots__ = ("hour", "hour_aside", "hour_used", "minute", "minute_aside", "minute_used")

    def __init__(self, minute: int = 0, hour: int = 0, used: Used = _NOTHING) -> None:
        self.minute, self.hour = minute, hour
        self.minute_used, self.hour_used, self.minute_aside, self.hour_aside = used

    def roll(self, steady: float) -> None:
        """Begin new windows where the old ones have passed.

        Args:
            steady: Unix seconds of the clock that never goes backwards.
        """
        minute, hour = int(steady // MINUTE_S), int(steady // HOUR_S)
        if minute > self.minute:
            self.minute, self.minute_used, self.minute_aside = minute, 0, 0
        if hour > self.hour:
            self.hour, self.hour_used, self.hour_aside = hour, 0, 0

    def take(self, limits: Limits, asked: int, *, partly: bool = False) -> int:
        """Take from both windows, or from none; ``roll`` first.

        Args:
            limits: as they are now. Changed ones count at once, against what was used before.
            asked: how much, 0 to take nothing.
            partly: whether less than that will do.

        Returns:
            how much was taken.
        """
        left = min(limits.minute - self.minute_used, limits.hour - self.hour_used)
        if asked > left:
            if not partly or left <= 0:
                return 0
            asked = left
        self.minute_used += asked
        self.hour_used += asked
        return asked

    def add_earlier(self, minute: int, hour: int, used: Used) -> None:
        """Add what an owner before this one has counted, and others, where it is of the present windows."""
        if minute == self.minute:
            self.minute_used += used.minute
            self.minute_aside += used.minute_aside
        if hour == self.hour:
            self.hour_used += used.hour
            self.hour_aside += used.hour_aside

    def hear(self, window_s: int, number: int, aside: int) -> None:
        """Count what others have counted of a window, if it is the present one, beyond what is known of that.

        Less than is known means that it was lost where it stood; it stays counted, and is this one's own from then on.
        """
        if window_s == MINUTE_S and number == self.minute:
            self.minute_used += max(0, aside - self.minute_aside)
            self.minute_aside = aside
        elif window_s == HOUR_S and number == self.hour:
            self.hour_used += max(0, aside - self.hour_aside)
            self.hour_aside = aside
