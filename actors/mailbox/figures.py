"""The mailbox's figures as metrics, reported every few seconds and not for every message."""

from collections.abc import Mapping
from typing import Any

from telemetry.metrics import Counter, Gauge


class Figures:
    """Turns snapshots of one queue into metrics."""

    def __init__(self, queue: str) -> None:
        self._labels = {"queue": queue}
        self._messages = Counter("spaza_mailbox_messages_total", "Messages by what became of them.", ("queue", "event"))
        self._waiting = Gauge("spaza_mailbox_waiting", "Messages that are not settled.", ("queue",))
        self._in_flight = Gauge("spaza_mailbox_in_flight", "Messages with the consumer.", ("queue",))
        self._dead_letters = Gauge("spaza_mailbox_dead_letters", "Messages in the dead-letter queue.", ("queue",))
        self._oldest = Gauge("spaza_mailbox_oldest_age_s", "Age of about the oldest message.", ("queue",))
        self._reported: dict[str, int] = {}

    def report(self, snapshot: Mapping[str, Any]) -> None:
        """Report a snapshot, and of its counters what was added since the last."""
        for event, total in snapshot["counters"].items():
            added = total - self._reported.get(event, 0)
            self._messages.add(added, {**self._labels, "event": event})
            self._reported[event] = total
        self._waiting.set(snapshot["waiting"], self._labels)
        self._in_flight.set(snapshot["in_flight"], self._labels)
        self._dead_letters.set(snapshot["dead_letters"], self._labels)
        self._oldest.set(snapshot["oldest_age_s"] or 0.0, self._labels)
