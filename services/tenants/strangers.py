"""How much is spent on names that nobody has been found under. Pure.

Anybody may make up the name of a credential, and each costs a question to a shard. There are so many of these a second;
who comes beyond that is told to come again. Names that were found before are looked up whatever others ask, so that a
flood of made-up ones refuses nobody who has called before.
"""

from collections import OrderedDict
from typing import NamedTuple


class StrangerPolicy(NamedTuple):
    """How many.

    Attributes:
        per_s: look-ups of unknown names.
        burst: of them at once, after a while without any. Many tenants call for the first time after a start.
        known: names that were found, at most; the least recently found go first.
    """

    per_s: float = 50.0
    burst: float = 500.0
    known: int = 10_000


class Strangers:
    """Says who is looked up. Begins with the whole burst."""

    def __init__(self, policy: StrangerPolicy, now: float) -> None:
        self._policy, self._left, self._at = policy, policy.burst, now
        self._known: OrderedDict[str, None] = OrderedDict()

    def admit(self, name: str, now: float) -> bool:
        """Whether a name is to be looked up now.

        Args:
            name: that is asked for.
            now: seconds that only go up.
        """
        if name in self._known:
            return True
        self._left = min(self._policy.burst, self._left + (now - self._at) * self._policy.per_s)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def found(self, name: str) -> None:
        """It is somebody's."""
        self._known[name] = None
        self._known.move_to_end(name)
        if len(self._known) > self._policy.known:
            self._known.popitem(last=False)
