"""The figures of the webhook and the processor."""

from collections.abc import Mapping

from telemetry.metrics import Counter, Latency


class WebhookMetrics:
    """Watches the webhook."""

    def __init__(self) -> None:
        self._dead_lettered = Counter(
            "spaza_webhook_dead_lettered_total", "Signed bodies that could not be read, kept as they are.", ("reason",)
        )

    def dead_lettered(self, reason: str) -> None:
        """A signed body could not be read."""
        self._dead_lettered.add(1, {"reason": reason})


class MessageLimitMetrics:
    """Watches the limits of merchants."""

    def __init__(self) -> None:
        self._over = Counter(
            "spaza_webhook_over_limit_total",
            "Messages over their merchant's limit, by whether that had effects.",
            ("mode",),
        )
        self._not_counted = Counter("spaza_webhook_not_counted_total", "Messages that no limit could be asked about.")

    def over_limit(self, messages: int, *, enforced: bool) -> None:
        """So many messages were over their merchant's limit."""
        self._over.add(messages, {"mode": "enforce" if enforced else "shadow"})

    def not_counted(self, messages: int) -> None:
        """So many could not be counted."""
        self._not_counted.add(messages)


class ProcessorMetrics:
    """Watches the processor, by the batch."""

    def __init__(self) -> None:
        self._inbound = Counter(
            "spaza_inbound_total", "Messages, statuses and events processed, by outcome.", ("kind", "outcome")
        )
        self._replies = Counter("spaza_replies_total", "Replies put into the notifications mailbox.")
        self._unmatched = Counter(
            "spaza_statuses_unmatched_total", "Statuses that met no message of ours, yet or at all; they are kept."
        )
        self._batch = Latency("spaza_inbound_batch_ms", "Time to process a batch of inbound messages.")

    def batch_done(
        self, outcomes: Mapping[tuple[str, str], int], *, replies: int, unmatched: int, seconds: float
    ) -> None:
        """A batch is done; outcomes are counted by kind and what became of it."""
        for (kind, outcome), count in outcomes.items():
            self._inbound.add(count, {"kind": kind, "outcome": outcome})
        self._replies.add(replies)
        self._unmatched.add(unmatched)
        self._batch.observe_s(seconds)
