"""Who is to be left alone for a while, and how often in a row that was so. Pure state; takes ``now``."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

_SIZE = 10_000


class _Pause(NamedTuple):
    times: int
    until: float


class Pauses:
    """Pauses of a number, a pair of number and recipient, or the whole Graph API, each under a key.

    They hold for all batches of this process: that a number is too fast is the number's matter and not one message's,
    so its other messages are not tried meanwhile, and however often a message came again for other reasons, this pause
    begins short. Weakness: bounded; with more keys than that the oldest begin anew.
    """

    def __init__(self, size: int = _SIZE) -> None:
        self._pauses: OrderedDict[str, _Pause] = OrderedDict()
        self._size = size

    def failed(self, key: str, now: float) -> int:
        """How many times in a row it has failed, this one included.

        What fails while it is paused had been under way before and belongs to the time that began the pause.
        """
        pause = self._pauses.get(key, _Pause(0, now))
        return pause.times if now < pause.until else pause.times + 1

    def hold(self, key: str, times: int, until: float) -> None:
        """Pause it, after it has failed so many times in a row."""
        held = self._pauses.get(key)
        self._pauses[key] = _Pause(times, until if held is None else max(until, held.until))
        self._pauses.move_to_end(key)
        while len(self._pauses) > self._size:
            self._pauses.popitem(last=False)

    def left_s(self, keys: Iterable[str], now: float) -> float:
        """Until none of these is paused any more; 0 if none is."""
        return max((self._pauses[key].until - now for key in keys if key in self._pauses), default=0.0)

    def passed(self, keys: Iterable[str]) -> None:
        """They are well again."""
        for key in keys:
            self._pauses.pop(key, None)
