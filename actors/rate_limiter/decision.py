"""What is said about limits: how much is left of them, and when what was refused will be admitted. Pure."""

from typing import Final, NamedTuple

from actors.rate_limiter.clock import Instant

MINUTE_S: Final = 60
HOUR_S: Final = 3600


class Limits(NamedTuple):
    """How much one tenant may have on one route."""

    minute: int
    hour: int

    def with_own(self, minute: int | None, hour: int | None) -> "Limits":
        """These, where somebody has none of its own; each by itself."""
        return Limits(self.minute if minute is None else minute, self.hour if hour is None else hour)


class WindowState(NamedTuple):
    """One window as the caller is told of it.

    Attributes:
        limit: in all.
        remaining: of it, after this call; never below 0.
        resets_in_s: seconds until the next window begins.
    """

    limit: int
    remaining: int
    resets_in_s: float

    @property
    def used(self) -> int:
        """How much of the limit is gone. Of a limit that was lowered there may be more, which is not told."""
        return self.limit - self.remaining


class Decision(NamedTuple):
    """What became of one check.

    Attributes:
        admitted: how much of what was asked for; all or nothing, unless a part was asked for.
        asked: how much that was.
        minute: its window.
        hour: its window.
        retry_after_s: after which the same succeeds, if nobody else takes anything; 0 where all was admitted, None
            where it is more than the whole limit, so that it never does.
    """

    admitted: int
    asked: int
    minute: WindowState
    hour: WindowState
    retry_after_s: float | None = 0.0

    @property
    def is_allowed(self) -> bool:
        """Whether all was admitted."""
        return self.admitted == self.asked


class Resets(NamedTuple):
    """Seconds until the present minute and the present hour end."""

    minute_s: float
    hour_s: float

    @classmethod
    def at(cls, now: Instant) -> "Resets":
        """Those of a moment."""
        minute_end = (now.steady // MINUTE_S + 1) * MINUTE_S
        hour_end = (now.steady // HOUR_S + 1) * HOUR_S
        return cls(now.until_s(minute_end), now.until_s(hour_end))


def decided(limits: Limits, asked: int, admitted: int, used: tuple[int, int], resets: Resets) -> Decision:
    """Say what was decided.

    Args:
        limits: under which.
        asked: how much.
        admitted: how much of it.
        used: of the minute and of the hour, with what was admitted.
        resets: at the moment of the decision.
    """
    minute = WindowState(limits.minute, max(0, limits.minute - used[0]), resets.minute_s)
    hour = WindowState(limits.hour, max(0, limits.hour - used[1]), resets.hour_s)
    return Decision(admitted, asked, minute, hour, retry_after_s(asked, admitted, minute, hour))


def retry_after_s(asked: int, admitted: int, minute: WindowState, hour: WindowState) -> float | None:
    """After how many seconds what was refused is admitted, if nobody else takes anything; see ``Decision``."""
    if admitted == asked:
        return 0.0
    if asked > min(minute.limit, hour.limit):
        return None
    rest = asked - admitted
    return max(window.resets_in_s for window in (minute, hour) if window.remaining < rest)
