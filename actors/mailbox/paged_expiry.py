"""Expires what is not in memory: messages that are left to their page expire in the journal, within seconds.

By the queue's time to live the oldest expire first, so the next page shows whether any has. A message with a time of
its own may stand anywhere; an index of these alone finds it. What is missed, as what was deferred under an earlier
owner, is found when its page is read. The age of what a unit of work has written counts from when it comes into
memory, for nobody knows the age clock of its commit.
"""

import asyncio
from collections.abc import Callable, Sequence

from actors.mailbox.ageing import shorter_ttl_s
from actors.mailbox.errors import JournalUnavailableError
from actors.mailbox.intake import PAGE, Intake
from actors.mailbox.journal import Journal, Row, may_be_more
from actors.mailbox.window import Window
from actors.mailbox.writer import Writer
from config.topology import Queue

# A row is there a little after its owner has stamped it.
_OVERLAP_S = 10.0
# No page is begun after so much of a look; well within the lease.
_LOOK_S = 0.5


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
    ) -> None:
        self._queue, self._number, self._journal = queue, number, journal
        self._window, self._intake, self._writer, self._clock = window, intake, writer, clock
        self.begin()

    def begin(self) -> None:
        """After a takeover: nothing has been looked at."""
        self._none_before, self._looked_to = 0.0, 0.0

    async def look(self, timeout_s: float) -> int:
        """Settle what has expired since the last look, as much as there is time for; says how many.

        Raises:
            MailboxError: the journal could not be read in time.
        """
        age = self._window.shelf(self._number).clock
        if not self._intake.arrivals.paging or not age.running:
            return 0
        reading = age.reading(self._clock())
        try:
            async with asyncio.timeout(timeout_s):
                return await self._by_queue(reading) + await self._by_message(reading)
        except TimeoutError as error:
            detail = f"looking for what has expired took longer than {timeout_s:g} s"
            raise JournalUnavailableError(self._queue.name, detail) from error

    async def _by_queue(self, reading: float) -> int:
        if self._queue.ttl_ms is None or reading < self._none_before:
            return 0
        from_seq, ends, found = self._intake.arrivals.read_through + 1, self._clock() + _LOOK_S, 0
        while self._clock() < ends and not self._writer.is_heavy:
            rows = await self._journal.load(from_seq, PAGE)
            found += self._bury(self._due(rows, reading))
            left = [expiry for row in rows if (expiry := self._expiry(row)) is not None and expiry > reading]
            if left or not may_be_more(rows, PAGE):
                self._none_before = min(left, default=reading + self._queue.ttl_ms / 1000)
                break
            from_seq = rows[-1].seq + 1  # what is buried waits in the journal until that is written
        return found

    async def _by_message(self, reading: float) -> int:
        if self._writer.is_heavy:
            return 0
        after = self._looked_to - _OVERLAP_S
        rows = await self._journal.load_expired(self._intake.arrivals.read_through + 1, after, reading, PAGE)
        self._looked_to = self._looked_to if may_be_more(rows, PAGE) else reading
        return self._bury(self._due(rows, reading))

    def _due(self, rows: Sequence[Row], reading: float) -> list[Row]:
        return [row for row in rows if row.intact and (at := self._expiry(row)) is not None and at <= reading]

    def _bury(self, rows: Sequence[Row]) -> int:
        return sum(self._intake.bury(row, "expired", "") for row in rows)

    def _expiry(self, row: Row) -> float | None:
        ttl_s = shorter_ttl_s(row.message.ttl_ms, self._queue.ttl_ms)
        return None if ttl_s is None or row.clock_s is None else row.clock_s + ttl_s + row.deferred_s
