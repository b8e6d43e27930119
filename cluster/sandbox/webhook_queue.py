"""Webhooks that wait: fresh updates, webhooks made up, and those that come again after a failure. Pure."""

import heapq
import random
from collections import deque
from dataclasses import dataclass

from cluster.sandbox.envelope import Update, build_envelope
from cluster.sandbox.knobs import Knobs
from cluster.sandbox.webhook_json import encode

# Beyond it every delay is at its maximum, and the power would only overflow.
_MAX_EXPONENT = 64


@dataclass(slots=True, eq=False)
class Webhook:
    """One POST to the callback, the same bytes each time.

    Attributes:
        updates: how many messages and statuses it carries.
        first_at: Unix seconds of the first attempt; None before it.
    """

    body: bytes
    updates: int
    first_at: float | None = None
    attempts: int = 0


def next_attempt_at(knobs: Knobs, *, first_at: float, attempts: int, now: float) -> float | None:
    """When to try again after a failure: exponential backoff with an end.

    Args:
        knobs: name the first delay, its growth, its maximum and the end.
        first_at: Unix seconds of the first attempt.
        attempts: made so far, at least 1.
        now: Unix seconds.

    Returns:
        Unix seconds, or None when Meta would give up.
    """
    growth = knobs.redelivery_factor ** min(attempts - 1, _MAX_EXPONENT)
    at = now + min(knobs.redelivery_first_ms * growth, knobs.redelivery_max_ms) / 1000
    return at if at <= first_at + knobs.redelivery_for_s else None


class WebhookQueue:
    """What waits for a sender. Bounded by the number of updates, those under way included.

    When it is full, what is offered is dropped and counted; a redelivery keeps the room that it has.
    """

    def __init__(self, limit: int, randomness: random.Random) -> None:
        self._limit, self._random = limit, randomness
        self._fresh: deque[Update] = deque()
        self._again: list[tuple[float, int, Webhook]] = []
        self._pushed = 0
        self.held = 0
        self.counts = {"delivered": 0, "failed_attempts": 0, "given_up": 0, "dropped": 0, "duplicated": 0}

    def offer(self, update: Update) -> bool:
        """Take one update; False, counted, when there is no room."""
        if not self._room_for(1):
            return False
        self._fresh.append(update)
        return True

    def offer_webhook(self, updates: list[Update], now: float) -> Webhook | None:
        """Take updates that travel together; None, counted, when there is no room."""
        if not self._room_for(len(updates)):
            return None
        webhook = Webhook(encode(build_envelope(updates)), len(updates))
        self._put(webhook, now)
        return webhook

    def take(self, now: float, knobs: Knobs) -> Webhook | None:
        """The next webhook to send, what is due before what is fresh; None when nothing may go now."""
        if knobs.webhooks_paused:
            return None
        if self._again and self._again[0][0] <= now:
            webhook = heapq.heappop(self._again)[2]
        elif self._fresh:
            count = min(len(self._fresh), knobs.batch_max)
            updates = [self._fresh.popleft() for _ in range(count)]
            webhook = Webhook(encode(build_envelope(updates)), count)
        else:
            return None
        if webhook.first_at is None:
            webhook.first_at = now
            if knobs.duplicate_webhooks > 0 and self._random.random() < knobs.duplicate_webhooks:
                self._duplicate(webhook, now)
        webhook.attempts += 1
        return webhook

    def settle(self, webhook: Webhook, status: int | None, now: float, knobs: Knobs) -> float | None:
        """Hear how an attempt ended: the status of the answer, None where there was none; only 200 is delivered.

        Returns:
            when it will be tried again; None when it is done or given up.
        """
        if status == 200:
            self.counts["delivered"] += 1
            self.held -= webhook.updates
            return None
        self.counts["failed_attempts"] += 1
        first_at = now if webhook.first_at is None else webhook.first_at
        at = next_attempt_at(knobs, first_at=first_at, attempts=webhook.attempts, now=now)
        if at is None:
            self.counts["given_up"] += 1
            self.held -= webhook.updates
            return None
        self._put(webhook, at)
        return at

    def next_at(self) -> float | None:
        """When the next webhook that comes again is due; None when none is."""
        return self._again[0][0] if self._again else None

    def _duplicate(self, webhook: Webhook, now: float) -> None:
        # Not counted against the limit: there are at most twice as many.
        self.counts["duplicated"] += 1
        self.held += webhook.updates
        self._put(Webhook(webhook.body, webhook.updates, first_at=now), now)

    def _put(self, webhook: Webhook, at: float) -> None:
        self._pushed += 1
        heapq.heappush(self._again, (at, self._pushed, webhook))

    def _room_for(self, updates: int) -> bool:
        if self.held + updates > self._limit:
            self.counts["dropped"] += updates
            return False
        self.held += updates
        return True
