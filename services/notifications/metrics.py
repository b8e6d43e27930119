"""The figures of the notifier."""

from collections.abc import Mapping

from telemetry.metrics import Counter, Latency


class NotifierMetrics:
    """Watches the notifier, by the batch."""

    def __init__(self) -> None:
        self._outgoing = Counter(
            "spaza_outgoing_total",
            "Outgoing messages by what became of them; resent ones may have reached the customer twice.",
            ("outcome",),
        )
        self._batch = Latency("spaza_outgoing_batch_ms", "Time to send and record a batch of outgoing messages.")

    def batch_done(self, outcomes: Mapping[str, int], seconds: float) -> None:
        """A batch is done; counted by what became of its messages."""
        for outcome, count in outcomes.items():
            self._outgoing.add(count, {"outcome": outcome})
        self._batch.observe_s(seconds)
