"""What becomes of a message that was not acknowledged: another try or the dead-letter queue. Pure."""

from typing import Literal, NamedTuple

from actors.mailbox.message import Outcome
from config.topology import Queue
from kernel.growth import growing_s

LOST_FIRST_S, LOST_LONGEST_S = 0.05, 30.0
REJECTED_FIRST_S, REJECTED_LONGEST_S = 1.0, 60.0
# What a consumer may ask for: as long as a message is kept. Beyond the year 294276 no journal row could hold it.
LONGEST_DELAY_S = 7 * 86_400.0

# RabbitMQ's names of the causes, and what else a settlement may say; the last two are an operator's.
Cause = Literal["acknowledged", "rejected", "expired", "delivery_limit", "corrupt", "redriven", "purged"]


class Decision(NamedTuple):
    """Settle for a cause, or try again after a delay.

    Attributes:
        cause: None for another try.
        delay_s: before that.
        retries: the count from now on.
    """

    cause: Cause | None
    delay_s: float
    retries: int


def after_outcome(queue: Queue, retries: int, outcome: Outcome) -> Decision:
    """What follows from what the consumer said. ``retry_after`` costs no try. No delay is longer than 7 days."""
    if outcome.kind == "ack":
        return Decision("acknowledged", 0.0, retries)
    if outcome.kind == "retry_after":
        return Decision(None, _asked_s(outcome), retries)
    if outcome.final or queue.max_retries is None or retries >= queue.max_retries:
        return Decision("rejected", 0.0, retries)
    delay_s = max(_asked_s(outcome), growing_s(retries + 1, REJECTED_FIRST_S, REJECTED_LONGEST_S))
    return Decision(None, delay_s, retries + 1)


def _asked_s(outcome: Outcome) -> float:
    return float(min(max(0.0, outcome.delay_s), LONGEST_DELAY_S))


def after_loss(queue: Queue, lost: int) -> Decision:
    """What follows when a delivery was lost with its consumer, for the ``lost``-th time."""
    if lost >= queue.delivery_limit:
        return Decision("delivery_limit", 0.0, 0)
    return Decision(None, growing_s(lost, LOST_FIRST_S, LOST_LONGEST_S), 0)
