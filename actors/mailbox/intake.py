"""How one partition's messages come from its journal into the window: by pages, by sweeps, and as they are written."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import islice

from actors.mailbox.arrivals import Arrival, Arrivals, Bounds
from actors.mailbox.deaths import dead_letter
from actors.mailbox.errors import JournalUnavailableError, MailboxError
from actors.mailbox.journal import Journal, Row, Settlement, may_be_more
from actors.mailbox.lane import History
from actors.mailbox.message import Message, PublishedRow
from actors.mailbox.retry import Cause
from actors.mailbox.rows import published_day
from actors.mailbox.window import Window
from actors.mailbox.writer import Writer
from config.topology import Queue
from telemetry.log import get_logger

PAGE = 1_000
_log = get_logger("mailbox")


class Intake:
    """Brings messages in, each once, and buries those whose row is damaged.

    Attributes:
        arrivals: which are in memory.
        arrived: how many have come, about.
        buried: how many were settled without having been in memory, by cause.
    """

    def __init__(
        self,
        queue: Queue,
        number: int,
        journal: Journal,
        window: Window,
        writer: Writer,
        *,
        has_dead_letters: bool,
        clock: Callable[[], float],
    ) -> None:
        self._queue, self._number, self._journal = queue, number, journal
        self._window, self._writer = window, writer
        self._has_dead_letters, self._clock = has_dead_letters, clock
        self._taken_over_at = 0
        self._page_limit = PAGE
        bounds = Bounds(queue.window, queue.window_bytes)
        self.arrivals = Arrivals(window, number, bounds, queue.partitions_per_actor)
        self.arrived = 0
        self.buried: Counter[str] = Counter()

    def begin(self, low_water: int, max_seq: int) -> None:
        """After a takeover: what is there up to ``max_seq`` may have been delivered before."""
        self._taken_over_at = max_seq
        self.arrivals.begin(low_water, max_seq)

    def arrive(self, seq: int, message: Message, history: History, now: float) -> None:
        """Take in a message that is committed, unless it is known."""
        if not self._writer.is_settling(seq):
            highest = self.arrivals.max_seen
            # What is left to its page has come all the same.
            self.arrived += self.arrivals.arrive(seq, message, history, now) or seq > highest

    def told(self, rows: Sequence[PublishedRow], now: float) -> None:
        """Take in what publishers say that they have committed.

        What was there at the takeover may be settled since long, and nothing of that is in memory. The pages and the
        sweep read it from the journal, which knows.
        """
        for row in rows:
            if row.seq > self._taken_over_at:
                self.arrive(row.seq, row.message, History(), now)

    @property
    def page_wanted(self) -> bool:
        """Whether there is room for the next page, and what has left the window is about to be written."""
        return self.arrivals.page_wanted and not self._writer.is_heavy

    def over(self, seq: int, now: float) -> None:
        """A message is settled."""
        self.arrivals.settled(seq, now)

    def low_water(self) -> int:
        """Below it everything that was seen is settled in the journal."""
        marks = [
            self.arrivals.max_seen + 1,
            self._window.shelf(self._number).lowest_seq,
            self._writer.lowest_pending_seq,
            self.arrivals.read_through + 1 if self.arrivals.paging else None,
        ]
        return min(mark for mark in marks if mark is not None)

    def take_rows(self, rows: Sequence[Row]) -> None:
        """Take in what was read."""
        now = self._clock()
        for row in self._intact(rows):
            self.arrive(*self._arrival(row, now), now)

    async def page(self, timeout_s: float) -> None:
        """Read the next page and take it in. A page that could not be read in time is read in smaller parts.

        Raises:
            MailboxError: it could not be read.
        """
        # What a flush has written that is under way, or begins while the page is read, is reported by the flush, in
        # its order; where units of work write as well their rows cannot be told apart, and one flush goes at a time.
        pending = self._writer.reported_from if self._queue.partition_by == "key" else None
        from_seq = self.arrivals.begin_page()
        limit = self._page_limit
        try:
            async with asyncio.timeout(timeout_s):
                rows = await self._journal.load(from_seq, limit)
        except (MailboxError, TimeoutError) as error:
            self.arrivals.abandon_page()
            self._page_limit = max(1, limit // 2)
            if isinstance(error, MailboxError):
                raise
            detail = f"a page of {limit} took longer than {timeout_s:g} s"
            raise JournalUnavailableError(self._queue.name, detail) from error
        self._page_limit = min(PAGE, limit * 2)
        now = self._clock()
        page = [
            self._arrival(row, now)
            for row in self._intact(rows)
            if (pending is None or row.seq < pending) and not self._writer.is_settling(row.seq)
        ]
        self.arrivals.end_page(page, last_seq=rows[-1].seq if may_be_more(rows, limit) else None, now=now)

    async def take_seqs(self, seqs: Sequence[int], may_go_on: Callable[[], bool]) -> bool:
        """Read what waits of these seqs, given in order, and take it in, part by part.

        Args:
            seqs: which.
            may_go_on: asked before each part.

        Returns:
            False if there was no going on; the rest is still to be read then.
        """
        left = deque(seqs)
        while left:
            if not may_go_on():
                return False
            part = list(islice(left, PAGE))
            rows = await self._journal.load_seqs(part)
            self.take_rows(rows)
            read_to = rows[-1].seq if may_be_more(rows, len(part)) else part[-1]
            while left and left[0] <= read_to:
                left.popleft()
        return True

    def _intact(self, rows: Sequence[Row]) -> list[Row]:
        for row in rows:
            if not row.intact and self.bury(row, "corrupt", "checksum"):
                _log.error("journal_row_corrupt", queue=self._queue.name, partition=self._number, seq=row.seq)
        return [row for row in rows if row.intact]

    def bury(self, row: Row, cause: Cause, reason: str) -> bool:
        """Settle a message that is not in memory; False if it is, or is settled already."""
        known = self._window.knows(self._number, row.seq)
        if known or self.arrivals.is_over(row.seq) or self._writer.is_settling(row.seq):
            return False
        self.buried[cause] += 1
        letter = None
        if self._has_dead_letters:
            letter = dead_letter(row.message, self._queue, cause, reason, time.time())
        self.over(row.seq, self._clock())
        end = Settlement(row.seq, published_day(row.message), cause, reason, row.lost)
        self._writer.settle(end, row.message.tenant, letter)
        return True

    def _arrival(self, row: Row, now: float) -> Arrival:
        not_before = now + row.not_before - time.time() if row.not_before else 0.0
        redelivered = row.seq <= self._taken_over_at
        history = History(row.clock_s, row.retries, row.lost, not_before, row.deferred_s, redelivered)
        return row.seq, row.message, history
