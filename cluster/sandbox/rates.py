"""Rates with a burst, as Meta limits a pair (business, customer) and a business number.

A leaky bucket in seconds: each message adds the time in which it is paid for, and time pays. A burst borrows from
the future, as Meta words it. Weakness: a rate that is changed while it runs judges the past by the new rate.
"""

from typing import NamedTuple


class _Debt(NamedTuple):
    """What a key owed at a time. A time at which it owes nothing would lose its fractions beside Unix seconds."""

    seconds: float
    at: float

    def left(self, now: float) -> float:
        return max(self.seconds - max(now - self.at, 0.0), 0.0)


_NONE = _Debt(0.0, 0.0)


class Pacer:
    """The rates of many keys; forgets those that owe nothing, and the oldest beyond its limit."""

    def __init__(self, limit: int) -> None:
        self._debts: dict[str, _Debt] = {}
        self._limit = limit

    def take(self, key: str, now: float, *, interval_s: float, burst: int, force: bool = False) -> bool:
        """Count one message.

        Args:
            key: whose rate it is.
            now: seconds.
            interval_s: the time in which one message is paid for.
            burst: messages that may go at once after a long silence.
            force: count it in any case, for what comes in cannot be refused.

        Returns:
            whether it may go; what may not is not counted.
        """
        owed_s = self._debts.get(key, _NONE).left(now) + interval_s
        # A hundredth of a message of slack, for sums of binary fractions.
        if not force and owed_s > interval_s * (burst + 0.01):
            return False
        if key not in self._debts and len(self._debts) >= self._limit:
            self._forget(now)
        self._debts[key] = _Debt(owed_s, now)
        return True

    def _forget(self, now: float) -> None:
        self._debts = {key: debt for key, debt in self._debts.items() if debt.left(now) > 0}
        # Room for many, so that the next thousands need not sweep again.
        for key in list(self._debts)[: len(self._debts) - self._limit * 9 // 10]:
            del self._debts[key]
