"""Expires what is not in memory: messages that are left to their page expire in the journal, within seconds.

By the queue's time to live the oldest expire first, so the next page shows whether any has. A message with a time of
its own may stand anywhere; an index of these alone finds it. What is missed, as what was deferred under an earlier
owner, is found when its page is read. The age of what a unit of work has written counts from when it comes into
memory, for nobody knows the age clock of its commit.

Both go on from where the last look ended, so that what has expired is read once however much of it there is. To look
late harms nothing: whether the journal can be written others find out.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence

from actors.mailbox.ageing import shorter_ttl_s
from actors.mailbox.errors import MailboxError
from actors.mailbox.intake import PAGE, Intake
from actors.mailbox.journal import Journal, Place, Row, Walk, may_be_more
from actors.mailbox.window import Window
from actors.mailbox.writer import Writer
from config.topology import Queue
from telemetry.log import get_logger

# A row is there a little after its owner has stamped it.
_OVERLAP_S = 10.0
# No page is begun after so much of a look; well within the lease.
_LOOK_S = 0.5
# A look that came to no end is followed by the next so much later.
_AGAIN_S = 5.0
_BEFORE_ALL: Place = (-math.inf, -1)
_log = get_logger("mailbox")


class PagedExpiry:
    """Looks through one partition's journal. Its calls take turns with those that read pages.

    Args:
        queue: whose.
        number: which partition.
        journal: its.
        window: for its age clock.
        intake: that knows what is in memory, and buries.
        writer: that writes what was buried; no more is read while it has much to write.
        clock: of the window.
        counters: of the partition; ``late_looks`` are those that came to no end.
    """

    def __init__(
        self,
        queue: Queue,
        number: int,
        *,
        journal: Journal,
        window: Window,
        intake: Intake,
        writer: Writer,
        clock: Callable[[], float],
        counters: Counter[str],
    ) -> None:
        self._queue, self._number, self._journal = queue, number, journal
        self._window, self._intake, self._writer, self._clock = window, intake, writer, clock
        self._counters = counters
        self._limit, self._not_before = PAGE, -math.inf
        self.begin()

    def begin(self) -> None:
        """After a takeover: nothing has been looked at."""
        self._none_before, self._next_seq, self._after = 0.0, 0, _BEFORE_ALL

    async def look(self, timeout_s: float) -> int:
        """Settle what has expired since the last look, as much as there is time for; says how many.

        Where the journal does not answer in time the next look is a while later, and reads smaller parts.
        """
        age = self._window.shelf(self._number).clock
        if self._intake.arrivals.unread_from is None or not age.running or self._clock() < self._not_before:
            return 0
        reading, ends, before = age.reading(self._clock()), self._clock() + _LOOK_S, self._intake.buried["expired"]
        try:
            async with asyncio.timeout(timeout_s):
                await self._by_queue(reading, ends)
                await self._by_message(reading, ends)
        except (MailboxError, TimeoutError) as error:
            self._came_late(error)
        else:
            self._limit = min(PAGE, self._limit * 2)
        return self._intake.buried["expired"] - before

    async def _by_queue(self, reading: float, ends: float) -> None:
        if self._queue.ttl_ms is None or reading < self._none_before:
            return
        while self._clock() < ends and not self._writer.is_heavy:
            limit = self._limit
            rows = await self._journal.load(max(self._from_seq, self._next_seq), limit)
            self._bury(self._due(rows, reading))
            left = [(expiry, row.seq) for row in rows if (expiry := self._expiry(row)) is not None and expiry > reading]
            # What is buried waits in the journal until that is written, and is not read again.
            self._next_seq = min((seq for _, seq in left), default=rows[-1].seq + 1 if rows else self._next_seq)
            if left or not may_be_more(rows, limit):
                self._none_before = min(left, default=(reading + self._queue.ttl_ms / 1000, 0))[0]
                break

    async def _by_message(self, reading: float, ends: float) -> None:
        while not self._writer.is_heavy:
            rows, ended = await self._journal.load_expired(Walk(self._from_seq, self._after, reading, self._limit))
            self._bury(self._due(rows, reading))
            self._after = (reading - _OVERLAP_S, -1) if ended is None else ended
            if ended is None or self._clock() >= ends:
                break

    @property
    def _from_seq(self) -> int:
        unread_from = self._intake.arrivals.unread_from
        return self._intake.arrivals.max_seen + 1 if unread_from is None else unread_from

    def _came_late(self, error: Exception) -> None:
        self._counters["late_looks"] += 1
        self._not_before = self._clock() + _AGAIN_S
        _log.warning(
            "mailbox_expiry_late", queue=self._queue.name, partition=self._number, rows=self._limit,
            error=str(error) or "it took too long",
        )  # fmt: skip
        self._limit = max(1, self._limit // 2)

    def _due(self, rows: Sequence[Row], reading: float) -> list[Row]:
        return [row for row in rows if row.intact and (at := self._expiry(row)) is not None and at <= reading]

    def _bury(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._intake.bury(row, "expired", "")

    def _expiry(self, row: Row) -> float | None:
        ttl_s = shorter_ttl_s(row.message.ttl_ms, self._queue.ttl_ms)
        return None if ttl_s is None or row.clock_s is None else row.clock_s + ttl_s + row.deferred_s
