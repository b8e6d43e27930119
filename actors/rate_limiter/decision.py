"""What a limiter says of a request."""

from typing import NamedTuple


class Limits(NamedTuple):
    """How many requests of one tenant on one route pass. None: any number."""

    minute: int | None
    hour: int | None


class WindowState(NamedTuple):
    """One window after a check.

    Attributes:
        name: ``minute`` or ``hour``.
        seconds: its length.
        limit: what passes in it.
        remaining: what still passes, this request counted where it was admitted; at least 0.
        reset_s: seconds until it ends, at least 1.
    """

    name: str
    seconds: int
    limit: int
    remaining: int
    reset_s: int


class Decision(NamedTuple):
    """Whether a request passes, and the windows that were looked at, the shortest first."""

    allowed: bool
    windows: tuple[WindowState, ...]
