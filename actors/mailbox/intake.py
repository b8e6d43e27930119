"""How one partition's messages come from its journal into the window: by pages, by sweeps, and as they are written."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from math import inf
from operator import itemgetter
from typing import NamedTuple

from actors.mailbox.arrivals import Arrival, Arrivals, Bounds
from actors.mailbox.deaths import dead_letter
from actors.mailbox.errors import MailboxError
from actors.mailbox.gaps import Gaps
from actors.mailbox.journal import Journal, Row, Settlement, Tick, may_be_more
from actors.mailbox.lane import History
from actors.mailbox.message import Message, PublishedRow
from actors.mailbox.retry import Cause
from actors.mailbox.stepped_over import Returning
from actors.mailbox.window import Window
from actors.mailbox.writer import Writer
from config.topology import Queue
from kernel.growth import growing_s
from telemetry.log import get_logger

PAGE = 1_000
# A page that came late is asked for again so much later, and longer with each that does.
_AGAIN_FIRST_S, _AGAIN_LONGEST_S = 0.1, 1.0
# What was stepped over may come back when others have gone.
_LOOK_AGAIN_S = 0.05
# What is told of beyond this is left to the look.
_MOST_HELD = 10_000
_log = get_logger("mailbox")


class _Before(NamedTuple):
    """How it was before a look: the highest seq that was seen, and what was held back."""

    highest: int
    held: frozenset[int]


class Intake:
    """Brings messages in, each once, and buries those whose row is damaged. Counts ``late_pages`` in its counters.

    Attributes:
        arrivals: which are in memory.
        arrived: how many have come, about.
        buried: how many were settled without having been in memory, by cause.
        look_wanted: whether the journal should be looked into, for there may be something in it that nobody told of.
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
        counters: Counter[str],
    ) -> None:
        self._queue, self._number, self._journal = queue, number, journal
        self._window, self._writer, self._counters = window, writer, counters
        self._has_dead_letters, self._clock = has_dead_letters, clock
        self._taken_over_at = 0
        self._page_limit, self._late_in_a_row, self._page_not_before = PAGE, 0, -inf
        bounds = Bounds(queue.window, queue.window_bytes)
        self.arrivals = Arrivals(window, number, bounds, queue.partitions_per_actor)
        # Where units of work write as well; else the owner gives the seqs, and reports them in order.
        self._gaps = Gaps() if queue.partition_by == "shard" else None
        # By seq: what may be preceded by others, until the journal was looked into.
        self._held: dict[int, Arrival] = {}
        # Seqs that have left the window, and of which nothing could be written down.
        self._aside: set[int] = set()
        self._before = _Before(0, frozenset())
        self.arrived = 0
        self.look_wanted = False
        self.buried: Counter[str] = Counter()

    def begin(self, low_water: int, max_seq: int) -> None:
        """After a takeover: what is there up to ``max_seq`` may have been delivered before."""
        self._taken_over_at = max_seq
        self.arrivals.begin(low_water, max_seq)
        self._held, self._before = {}, _Before(0, frozenset())
        self._aside.clear()

    def arrive(self, seq: int, message: Message, history: History, now: float) -> None:
        """Take in a message that is committed, unless it is known.

        If an earlier one may be there that was not seen it is held back, and ``look_wanted``.
        """
        self._take_or_hold((seq, message, history), now)

    def told(self, rows: Sequence[PublishedRow], now: float) -> None:
        """Take in what publishers say that they have committed.

        What was there at the takeover may be settled since long, and nothing of that is in memory. The pages and the
        sweep read it from the journal, which knows.
        """
        for row in sorted(rows, key=lambda one: one.seq):
            if row.seq <= self._taken_over_at:
                continue
            if self.arrivals.is_left_to_page(row.seq) or len(self._held) >= _MOST_HELD:
                # The look that follows the last page finds it, in its place.
                self.arrived += row.seq > self.arrivals.max_seen
                self.arrivals.max_seen = max(self.arrivals.max_seen, row.seq)
                # Of a queue by key, whose rows nobody tells but who knows an earlier topology, there is no look.
                self.look_wanted = self._gaps is not None
            else:
                self.arrive(row.seq, row.message, History(), now)

    @property
    def page_wanted(self) -> bool:
        """Whether there is room for the next page, and what has left the window is about to be written."""
        return self.arrivals.page_wanted and not self._writer.is_heavy and self._page_in_s == inf

    @property
    def again_in_s(self) -> float:
        """How long until ``fetch`` may have something to do, though nothing comes or goes."""
        return min(self._page_in_s, _LOOK_AGAIN_S if self.arrivals.steps_over else inf)

    @property
    def _page_in_s(self) -> float:
        """How long until a page that came late may be asked for again; endless if none did."""
        left_s = self._page_not_before - self._clock()
        return left_s if left_s > 0 else inf

    @property
    def held(self) -> int:
        """Messages that have come and are not in the window, for others may precede them."""
        return len(self._held) + len(self._aside)

    def set_aside(self, seq: int, now: float) -> None:
        """A message is over, and what became of it is not written down yet."""
        self._aside.add(seq)
        self.over(seq, now)

    def take_up(self, seq: int) -> None:
        """What became of a message that was set aside is with the writer now."""
        self._aside.discard(seq)

    def over(self, seq: int, now: float) -> None:
        """A message is settled."""
        self.arrivals.settled(seq, now)

    def low_water(self) -> int:
        """Below it everything that was seen is settled in the journal."""
        marks = [
            self.arrivals.max_seen + 1,
            self._window.shelf(self._number).lowest_seq,
            self._writer.lowest_pending_seq,
            self.arrivals.unread_from,
            min(self._held, default=None),
            min(self._aside, default=None),
        ]
        return min(mark for mark in marks if mark is not None)

    def take_rows(self, rows: Sequence[Row]) -> None:
        """Take in what was in doubt and was read, in order; as ``arrive``."""
        now = self._clock()
        for row in self._intact(rows):
            self._take_or_hold(self._arrival(row, now), now)

    async def fetch(self, timeout_s: float) -> bool:
        """Bring back what was stepped over, or take in the next page; False if neither is wanted.

        What could not be read in time is asked for again a little later, in smaller parts. That harms nobody but who
        waits for it: whether the journal can be written others find out.
        """
        limit = self._page_limit
        if self._page_in_s < inf or self._writer.is_heavy:
            return False
        if returning := self.arrivals.begin_return(limit, self._clock()):
            reading = self._bring_back(returning)
        elif self.arrivals.page_wanted:
            reading = self._page(limit)
        else:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await reading
        except (MailboxError, TimeoutError) as error:
            self.arrivals.abandon_page()
            self._came_late(limit, str(error) or f"it took longer than {timeout_s:g} s")
        else:
            self._page_limit, self._late_in_a_row = min(PAGE, limit * 2), 0
        return True

    async def _page(self, limit: int) -> None:
        # What a flush has written that is under way, or begins while the page is read, is reported by the flush, in
        # its order; where units of work write as well their rows cannot be told apart, and one flush goes at a time.
        pending = self._writer.reported_from if self._queue.partition_by == "key" else None
        rows = await self._journal.load(self.arrivals.begin_page(), limit)
        now = self._clock()
        page = [row for row in self._arrivals_of(rows, now) if pending is None or row[0] < pending]
        self.arrivals.end_page(page, last_seq=rows[-1].seq if may_be_more(rows, limit) else None, now=now)
        if self._gaps is not None and not self.arrivals.paging:
            self._gaps.restart(self.arrivals.max_seen)

    async def _bring_back(self, returning: Sequence[Returning]) -> None:
        seqs = sorted(seq for one in returning for seq in one.seqs)
        rows = await self._journal.load_seqs(seqs)
        now = self._clock()
        read_to = rows[-1].seq if may_be_more(rows, len(seqs)) else seqs[-1]
        self.arrivals.end_return(returning, self._arrivals_of(rows, now), read_to, now)

    def _arrivals_of(self, rows: Sequence[Row], now: float) -> list[Arrival]:
        return [self._arrival(row, now) for row in self._intact(rows) if not self._writer.is_settling(row.seq)]

    def _came_late(self, limit: int, why: str) -> None:
        self._counters["late_pages"] += 1
        self._late_in_a_row += 1
        again_s = growing_s(self._late_in_a_row, _AGAIN_FIRST_S, _AGAIN_LONGEST_S)
        self._page_limit, self._page_not_before = max(1, limit // 2), self._clock() + again_s
        _log.warning("mailbox_page_late", queue=self._queue.name, partition=self._number, rows=limit, error=why)

    def begin_look(self) -> None:
        """The journal is about to be asked which rows of units of work there are."""
        self.look_wanted = False
        self._before = _Before(0 if self._gaps is None else self._gaps.highest, frozenset(self._held))

    async def end_look(self, tick: Tick, may_go_on: Callable[[], bool]) -> bool:
        """Read what the look has shown and is not here, and take it in, part by part, in order with what was held back.

        Args:
            tick: what the journal answered.
            may_go_on: asked before each part.

        Returns:
            False if there was no going on; the rest is still to be read then.
        """
        told = self._before.held.union(tick.seqs)
        left = deque(seq for seq in tick.seqs if seq not in self._held and self.arrivals.wants(seq))
        while left:
            if not may_go_on():
                self.look_wanted = True
                return False
            part = list(islice(left, PAGE))
            rows = await self._journal.load_seqs(part)
            read_to = rows[-1].seq if may_be_more(rows, len(part)) else part[-1]
            self._take_in_order(rows, told, read_to)
            while left and left[0] <= read_to:
                left.popleft()
        self._take_in_order([], told, max(self._held, default=0))
        self.look_wanted |= bool(self._held)
        if self._gaps is not None:
            xmin, xmax, _ = tick.snapshot.split(":")
            self._gaps.looked(self._before.highest, int(xmin), int(xmax))
        return True

    def _take_or_hold(self, arrival: Arrival, now: float) -> None:
        seq = arrival[0]
        if self._gaps is None or self.arrivals.is_left_to_page(seq) or not self._gaps.may_precede(seq):
            self._take(arrival, now)
        else:
            self._held[seq] = arrival
            self.look_wanted = True

    def _take_in_order(self, rows: Sequence[Row], told: Collection[int], up_to: int) -> None:
        now = self._clock()
        ready = [self._arrival(row, now) for row in self._intact(rows)]
        ready += [self._held.pop(seq) for seq in list(self._held) if seq in told and seq <= up_to]
        for one in sorted(ready, key=itemgetter(0)):
            self._take(one, now)

    def _take(self, arrival: Arrival, now: float) -> None:
        if self._writer.is_settling(arrival[0]):
            return
        highest = self.arrivals.max_seen
        # What is left to its page has come all the same.
        self.arrived += self.arrivals.arrive(*arrival, now) or arrival[0] > highest
        if self._gaps is not None:
            self._gaps.see(arrival[0])

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
        letter = None
        if self._has_dead_letters:
            letter = dead_letter(row.message, self._queue, cause, reason, time.time())
        self.buried[cause] += 1
        self.over(row.seq, self._clock())
        self._writer.settle(Settlement(row.seq, row.day, cause, reason, row.lost), row.message.tenant, letter)
        return True

    def _arrival(self, row: Row, now: float) -> Arrival:
        not_before = now + row.not_before - time.time() if row.not_before else 0.0
        redelivered = row.tried or row.seq <= self._taken_over_at
        history = History(row.clock_s, row.retries, row.lost, not_before, row.deferred_s, redelivered)
        return row.seq, row.message, history
