"""What becomes of an accepted message: sent, delivered, read, or failed, each at its time.

Source: developers.facebook.com, status webhooks (September 2026), as of Graph v24: no ``conversation``; ``pricing``
on ``sent`` and on one of ``delivered`` and ``read``; ``contacts`` unless it failed.
"""

import heapq
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from cluster.sandbox.customers import Customer
from cluster.sandbox.envelope import Update
from cluster.sandbox.graph_errors import status_error
from cluster.sandbox.knobs import Knobs
from cluster.sandbox.phone_numbers import PhoneNumber
from cluster.sandbox.validation import Recipient

_DUPLICATE_AFTER_S = 0.02


class Accepted(NamedTuple):
    """What a status must say of its message."""

    number: PhoneNumber
    recipient: Recipient
    customer: Customer | None
    wamid: str
    biz_opaque_callback_data: str | None
    is_template: bool
    failure: int | None


class PlannedStatus(NamedTuple):
    """One status to come.

    Attributes:
        after_s: since the message was accepted.
        priced: whether it carries ``pricing``.
    """

    after_s: float
    status: str
    priced: bool


def plan_statuses(knobs: Knobs, randomness: random.Random, *, failed: bool) -> list[PlannedStatus]:
    """Decide which statuses a message gets, and when.

    Returns:
        in the order of their time; empty when none will come.
    """

    def happens(share: float) -> bool:
        # Without asking for randomness, the common share of 0 costs nothing.
        return share > 0 and randomness.random() < share

    if happens(knobs.drop_statuses):
        return []
    if failed:
        return _with_duplicates([PlannedStatus(knobs.sent_after_ms / 1000, "failed", priced=False)], knobs, happens)
    steps = [
        (knobs.sent_after_ms, "sent", happens(knobs.drop_sent)),
        (knobs.delivered_after_ms, "delivered", happens(knobs.drop_delivered)),
        (knobs.read_after_ms, "read", happens(knobs.drop_read)),
    ]
    kept = [(after_ms / 1000, status) for after_ms, status, dropped in steps if not dropped]
    if happens(knobs.reorder_statuses):
        kept = _reordered(kept, randomness)
    received = next((status for _, status in kept if status != "sent"), None)
    planned = [PlannedStatus(after_s, status, priced=status in {"sent", received}) for after_s, status in kept]
    return _with_duplicates(planned, knobs, happens)


def _reordered(kept: list[tuple[float, str]], randomness: random.Random) -> list[tuple[float, str]]:
    if len(kept) < 2:
        return kept
    statuses = [status for _, status in kept]
    shuffled = list(statuses)
    while shuffled == statuses:
        randomness.shuffle(shuffled)
    return [(after_s, status) for (after_s, _), status in zip(kept, shuffled, strict=True)]


def _with_duplicates(planned: list[PlannedStatus], knobs: Knobs, happens: Any) -> list[PlannedStatus]:
    again = [
        one._replace(after_s=one.after_s + _DUPLICATE_AFTER_S) for one in planned if happens(knobs.duplicate_statuses)
    ]
    return sorted(planned + again, key=lambda one: one.after_s)


def status_update(accepted: Accepted, status: str, now: float, *, priced: bool) -> Update:
    """The status as it goes into a webhook."""
    recipient, customer = accepted.recipient, accepted.customer
    wa_id = recipient.wa_id if recipient.wa_id is not None or customer is None else customer.wa_id
    user_id = recipient.user_id if recipient.user_id is not None or customer is None else customer.user_id
    item: dict[str, Any] = {"id": accepted.wamid, "status": status, "timestamp": str(int(now))}
    if wa_id is not None:
        item["recipient_id"] = wa_id
    if user_id is not None:
        item["recipient_user_id"] = user_id
    if accepted.biz_opaque_callback_data is not None:
        item["biz_opaque_callback_data"] = accepted.biz_opaque_callback_data
    if status == "failed":
        item["errors"] = [status_error(131000 if accepted.failure is None else accepted.failure)]
        return Update(accepted.number, "statuses", item, None)
    if priced:
        item["pricing"] = _pricing(is_template=accepted.is_template)
    name = None if customer is None else customer.name
    return Update(accepted.number, "statuses", item, Customer(wa_id, user_id, name, now).contact())


def _pricing(*, is_template: bool) -> dict[str, Any]:
    return {
        "billable": is_template,
        "pricing_model": "PMP",
        "type": "regular" if is_template else "free_customer_service",
        "category": "utility" if is_template else "service",
    }


class DueStatus(NamedTuple):
    """A status whose time has come."""

    accepted: Accepted
    status: str
    priced: bool


class StatusSchedule:
    """The statuses to come, by time. Bounded: what does not fit never comes, and is counted."""

    def __init__(self, limit: int) -> None:
        self._heap: list[tuple[float, int, DueStatus]] = []
        self._limit = limit
        self._pushed = 0
        self.dropped = 0

    def add(self, accepted: Accepted, planned: list[PlannedStatus], now: float) -> bool:
        """Take the statuses of one message.

        Returns:
            whether one of them is now the next of all, so that who sleeps until the next one must look again.
        """
        if len(self._heap) + len(planned) > self._limit:
            self.dropped += len(planned)
            return False
        next_before = self.next_at()
        for after_s, status, priced in planned:
            self._pushed += 1
            heapq.heappush(self._heap, (now + after_s, self._pushed, DueStatus(accepted, status, priced)))
        return bool(planned) and (next_before is None or now + planned[0].after_s < next_before)

    def due(self, now: float) -> Iterator[DueStatus]:
        """Take out what is due, the oldest first."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]

    def next_at(self) -> float | None:
        """When the next one is due; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._heap)
