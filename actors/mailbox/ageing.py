"""The age of messages: a clock that stands still while nothing of its partition could be delivered. Pure."""


class AgeClock:
    """Counts the seconds in which a partition's messages could be delivered.

    Its reading is kept with the partition's lease, so that the time without an owner ages nothing either.
    """

    __slots__ = ("_counted_s", "_since")

    def __init__(self, counted_s: float = 0.0) -> None:
        self._counted_s = counted_s
        self._since: float | None = None

    @property
    def running(self) -> bool:
        """Whether it counts."""
        return self._since is not None

    def reading(self, now: float) -> float:
        """Seconds counted until now."""
        return self._counted_s if self._since is None else self._counted_s + max(0.0, now - self._since)

    def set_running(self, *, running: bool, now: float) -> None:
        """Start or stop it; as it is already changes nothing."""
        if running and self._since is None:
            self._since = now
        elif not running and self._since is not None:
            self._counted_s, self._since = self.reading(now), None


def shorter_ttl_s(message_ttl_ms: int | None, queue_ttl_ms: int | None) -> float | None:
    """The lesser of the message's and its queue's time to live, in seconds; None for no limit."""
    limits = [limit for limit in (message_ttl_ms, queue_ttl_ms) if limit is not None]
    return min(limits) / 1000 if limits else None
