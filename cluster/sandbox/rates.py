"""Rates with a burst, as Meta limits a pair (business, customer) and a business number.

The generic cell rate algorithm: one time a key, the moment at which all that was sent has been paid for. A burst
borrows from the future, as Meta words it. Weakness: a rate that is changed while it runs judges the past by the
new rate.
"""


class Pacer:
    """The rates of many keys; forgets those that owe nothing, and the oldest beyond its limit."""

    def __init__(self, limit: int) -> None:
        self._paid_at: dict[str, float] = {}
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
        paid_at = max(self._paid_at.get(key, now), now) + interval_s
        # A microsecond of slack, for sums of binary fractions.
        if not force and paid_at - now > interval_s * burst + 1e-6:
            return False
        if key not in self._paid_at and len(self._paid_at) >= self._limit:
            self._forget(now)
        self._paid_at[key] = paid_at
        return True

    def _forget(self, now: float) -> None:
        self._paid_at = {key: paid_at for key, paid_at in self._paid_at.items() if paid_at > now}
        # Room for many, so that the next thousands need not sweep again.
        for key in list(self._paid_at)[: len(self._paid_at) - self._limit * 9 // 10]:
            del self._paid_at[key]
