"""When to publish, to call the consumer and to write: at once if there is time to, else in company. Pure."""

from config.topology import Queue


def dispatch_wait_s(
    queue: Queue, *, now: float, ready: int, room: int, alone: bool, behind: bool, batches_in_flight: int, last: float
) -> float | None:
    """How long to wait before the next call to the consumer.

    A call costs about the same whatever it carries. So a lone message goes at once, and under load calls that are not
    full keep their distance: what comes while a call is under way goes together when it ends. Only a call that takes
    long, for one slow shard or number, gets another beside it. Where messages wait behind others of their key no
    distance is kept between a call and the next: what these wait for is not company.

    Args:
        queue: its batch, batches_in_flight, and the distances between calls.
        now: the same clock as ``last``.
        ready: messages that could go.
        room: messages that the call could carry.
        alone: whether the next message goes alone, so that company is not worth waiting for.
        behind: whether messages wait behind these, and could not go along.
        batches_in_flight: calls under way.
        last: when the last call began.

    Returns:
        0 for now; None to wait for something to happen.
    """
    if ready == 0 or room <= 0 or batches_in_flight >= queue.batches_in_flight:
        return None
    if alone or ready >= room or (behind and not batches_in_flight):
        return 0.0
    distance_ms = queue.patience_ms if batches_in_flight else queue.linger_ms
    wait_s = max(0.0, last + distance_ms / 1000 - now)
    if wait_s == 0 and queue.busy_per_s is not None and ready >= queue.busy_per_s * (now - last):
        # So many have come since the last call.
        wait_s = max(0.0, last + queue.busy_linger_ms / 1000 - now)
    return wait_s


def flush_wait_s(
    *, now: float, appends: int, settlements: int, oldest_settlement: float, linger_s: float
) -> float | None:
    """How long to wait before the next write.

    A publisher waits for an append, so it goes at once and takes the settlements along. Nobody waits for a
    settlement: it lingers for company.

    Returns:
        0 for now; None if there is nothing to write.
    """
    if appends:
        return 0.0
    if not settlements:
        return None
    return max(0.0, oldest_settlement + linger_s - now)


class Company:
    """Whether a publisher's call should wait for company, learnt from how waiting went.

    At a steady rate a call a few milliseconds after the last one soon has company, and half the calls cost half as
    much. Who publishes one message after the other, each when the last is confirmed, would wait in vain. So after a
    wait in vain calls go at once, until others have shown themselves by publishing while a call was under way: four
    times, and twice as many after each further wait in vain.

    Weakness: a rate that has just risen is noticed after up to ``_LONGEST`` such meetings.
    """

    _FIRST, _LONGEST = 4, 64

    def __init__(self, linger_s: float) -> None:
        self._linger_s = linger_s
        self._last = float("-inf")
        self._go_at_once = 0
        self._in_vain = 0

    def wait_s(self, now: float) -> float:
        """How long a call that could go now should wait; 0 for not at all."""
        return 0.0 if self._go_at_once else max(0.0, self._last + self._linger_s - now)

    def met(self) -> None:
        """Somebody publishes while a call is under way."""
        if self._go_at_once:
            self._go_at_once -= 1

    def gone(self, now: float, *, publishers: int, waited: bool) -> None:
        """A call goes, with what so many publishers gave it."""
        self._last = now
        if publishers > 1:
            self._go_at_once = self._in_vain = 0
        elif waited:
            self._in_vain = min(self._LONGEST, max(self._FIRST, 2 * self._in_vain))
            self._go_at_once = self._in_vain
