"""Reports each status at its time to the outbox and to the callback."""

import asyncio

from cluster.sandbox.clock import Alarm, Clock
from cluster.sandbox.delivery import WebhookSender
from cluster.sandbox.outbox import Outbox
from cluster.sandbox.statuses import Accepted, PlannedStatus, StatusSchedule, status_update

# Statuses due within it go together: at a high rate one wake-up serves many, and webhooks fill.
_TICK_S = 0.02


class StatusReporter:
    """Owns the schedule of statuses and the task that empties it."""

    def __init__(self, clock: Clock, schedule: StatusSchedule, outbox: Outbox, sender: WebhookSender) -> None:
        self._clock, self._schedule, self._outbox, self._sender = clock, schedule, outbox, sender
        self._alarm = Alarm(clock)

    def follow(self, accepted: Accepted, planned: list[PlannedStatus]) -> None:
        """Report these statuses when their time comes."""
        if self._schedule.add(accepted, planned, self._clock.now()):
            self._alarm.ring()

    def report_due(self) -> int:
        """Report what is due now. Returns how many."""
        now, count = self._clock.now(), 0
        for accepted, status, priced in self._schedule.due(now):
            self._outbox.reported(accepted.wamid, status, now)
            self._sender.offer(status_update(accepted, status, now, priced=priced))
            count += 1
        return count

    async def run(self) -> None:
        """Report for ever."""
        while True:
            self.report_due()
            await self._alarm.wait(self._schedule.next_at())
            await asyncio.sleep(_TICK_S)

    def statistics(self) -> dict[str, int]:
        """What waits and what was dropped for want of room."""
        return {"pending": len(self._schedule), "dropped": self._schedule.dropped}
