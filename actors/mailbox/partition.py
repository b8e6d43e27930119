"""One partition under its owner: acquires it, holds it, and writes what becomes of its messages."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from actors.mailbox.deaths import dead_letter
from actors.mailbox.errors import FencedError, JournalUnavailableError, MailboxError
from actors.mailbox.intake import PAGE, Intake
from actors.mailbox.journal import Append, Journal, Lease, Progress, Written
from actors.mailbox.lane import History
from actors.mailbox.message import Message, PublishedRow
from actors.mailbox.ownership import PartitionPolicy, State, keep_owning
from actors.mailbox.records import new_arrivals, retry_of, settlement_of
from actors.mailbox.window import Verdict, Window
from actors.mailbox.writer import Writer
from config.topology import Queue
from telemetry.log import get_logger

_EVERY_SEQ = (1 << 63) - 1
_log = get_logger("mailbox")


class Partition:
    """Implements ``WriterOwner`` and ``OwnerLife``.

    What survives a crash is in the journal; the rest of the state is built anew from there. Messages are handed out
    only while the partition is owned beyond doubt.

    Args:
        queue: whose.
        number: which.
        journal: its.
        window: shared with the other partitions of the queue.
        has_dead_letters: whether its queue has a dead-letter queue.
        owner: unique name of this owner.
        policy: see there.
        clock: of the window, monotonic seconds.
        wake: called when something may have become deliverable.
    """

    def __init__(
        self,
        queue: Queue,
        number: int,
        journal: Journal,
        window: Window,
        *,
        has_dead_letters: bool,
        owner: str,
        policy: PartitionPolicy,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._queue, self._number, self._journal, self._window = queue, number, journal, window
        self._has_dead_letters, self._owner, self._policy = has_dead_letters, owner, policy.ownership
        self._clock, self._wake = clock, wake
        self._writer = Writer(queue.name, journal, self, policy.writer, clock)
        self._intake = Intake(
            queue, number, journal, window, self._writer, has_dead_letters=has_dead_letters, clock=clock
        )
        # Where units of work write as well, only the database can give seqs.
        self._gives_seqs = queue.partition_by == "key"
        self._next_seq = 1
        self._swept_to = "0"
        self._renewed_at = float("-inf")
        self._is_open = self.counted = False
        self._low_water = 0
        self._doubtful: set[str] = set()
        self._trouble: MailboxError | None = None
        self._nudge = asyncio.Event()
        self.state = State.STARTING
        self.epoch = -1
        self.dead_letters = 0
        self.counters: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """Messages that are not settled, those in flight included; an estimate while part of them is paged."""
        if not self._is_open:
            return 0
        held = len(self._window.shelf(self._number).entries)
        if not self._intake.arrivals.paging:
            return held
        return max(held, self._intake.waiting, 0 if self.counted else 1)

    def statistics(self) -> dict[str, Any]:
        """A snapshot."""
        return {
            "state": self.state.value,
            "epoch": self.epoch,
            "waiting": self.waiting,
            "paging": self._intake.arrivals.paging,
            "counted": self.counted,
        }

    async def run(self) -> None:
        """Own the partition as far as others let it, until cancelled."""
        await keep_owning(self, self._policy, self._queue.name, self._number)

    @property
    def count_wanted(self) -> bool:
        """Whether the partition is owned and was not counted since; ``dead_letters`` are only the new ones then."""
        return self.state is State.OWNING and not self.counted

    async def count(self) -> None:
        """Count what waits. What comes and goes meanwhile makes it an estimate.

        Raises:
            JournalUnavailableError: it took too long.
        """
        epoch, waiting, dead = self.epoch, self._intake.waiting, self.dead_letters
        figures = await self._journal.figures(self._low_water)
        if self.count_wanted and epoch == self.epoch:
            self._intake.waiting += figures.waiting - waiting
            self.dead_letters += figures.dead_letters - dead
            self.counted = True

    async def append(self, messages: Sequence[Message]) -> None:
        """Return when the messages are committed.

        Raises:
            MailboxError: nothing is promised then.
        """
        await self._writer.append(messages)

    async def append_dead_letters(self, messages: Sequence[Message], reason: str) -> None:
        """Return when the messages are committed to the dead-letter queue; raises as ``append``."""
        letters = [dead_letter(message, self._queue.name, "rejected", reason) for message in messages]
        await self._writer.append(letters, dead=True)

    def told(self, rows: Sequence[PublishedRow]) -> None:
        """Take in what was published with a change, as far as it can be now."""
        if self.state is not State.OWNING:
            return
        now = self._clock()
        for row in rows:
            self._intake.arrive(row.seq, row.message, History(), now)
        self._wake()

    def record(self, verdict: Verdict) -> None:
        """Write what became of a message."""
        now = self._clock()
        if verdict.cause is None:
            self.counters["retried"] += 1
            self._writer.retry(retry_of(verdict, now=now, wall=time.time()))
            return
        self.counters[verdict.cause] += 1
        letter = None
        if verdict.cause != "acknowledged" and self._has_dead_letters:
            letter = dead_letter(verdict.entry.message, self._queue.name, verdict.cause, verdict.reason)
        self._intake.over(verdict.entry.seq, now)
        if self._intake.arrivals.page_wanted:
            self._nudge.set()
        self._writer.settle(settlement_of(verdict), letter)

    async def stop(self, timeout_s: float) -> None:
        """Write what is settled and hand the partition over. ``run`` must have been cancelled."""
        if self.state is State.OWNING:
            self._window.set_blocked(self._number, blocked=True, now=self._clock())
            await self._writer.drain(timeout_s)
            try:
                await self._journal.release(self.epoch, self._progress())
            except MailboxError as error:
                _log.warning("handover_failed", queue=self._queue.name, partition=self._number, error=str(error))
        await self.abandon()

    async def abandon(self) -> None:
        """Stop where it is, as a crash would. ``run`` must have been cancelled."""
        self._writer.suspend(JournalUnavailableError(self._queue.name, "its owner has stopped"))
        self.state = State.STOPPED
        await self._writer.aclose()

    # WriterOwner

    def stamp(self, messages: Sequence[Message]) -> list[Append]:
        clock_s = self._window.shelf(self._number).clock.reading(self._clock())
        if not self._gives_seqs:
            return [Append(message, None, clock_s) for message in messages]
        first, self._next_seq = self._next_seq, self._next_seq + len(messages)
        return [Append(message, first + position, clock_s) for position, message in enumerate(messages)]

    def floor(self) -> int:
        return self._next_seq if self._gives_seqs else self._intake.arrivals.max_seen + 1

    def written(self, appends: Sequence[Append], written: Written) -> None:
        self.dead_letters += written.dead_letters
        if not self._is_open or not appends:
            return
        now = self._clock()
        arrivals = new_arrivals(appends, written)
        for seq, append in arrivals:
            self._intake.arrive(seq, append.message, History(append.clock_s), now)
        self._intake.waiting += len(arrivals)
        self.counters["published"] += len(arrivals)
        self.counters["duplicate"] += len(appends) - len(arrivals)
        self._wake()

    def failed(self, error: MailboxError, epoch: int, doubtful_ids: Sequence[str]) -> None:
        self._doubtful.update(doubtful_ids)
        if isinstance(error, FencedError) and epoch != self.epoch:
            return  # begun before we took over again ourselves; nothing of it was written
        if self._trouble is None or isinstance(error, FencedError):
            self._trouble = error
        self.suspend(self._trouble)
        self._nudge.set()

    # OwnerLife

    async def acquire(self) -> bool:
        self._trouble = None
        asked_at = self._clock()
        lease = await self._journal.take_over(self._owner, self._policy.lease_s, self.epoch if self._is_open else -1)
        if lease is None:
            self.give_up(JournalUnavailableError(self._queue.name, "another owner holds it"))
            return False
        self.epoch, self._renewed_at = lease.epoch, asked_at
        if not (lease.continued and self._is_open):
            await self._begin(lease)
        if self._doubtful:
            # What is in doubt stays so until it was taken in, whatever comes between.
            ids = list(self._doubtful)
            self._intake.take_rows(await self._journal.load_ids(ids))
            self._doubtful.difference_update(ids)
        if self._trouble is not None:
            raise self._trouble
        if self._clock() >= asked_at + self._policy.lease_s:
            raise JournalUnavailableError(self._queue.name, "the lease lapsed before all was read")
        self.state = State.OWNING
        self._window.hold_until(self._number, asked_at + self._policy.lease_s)
        self._window.set_blocked(self._number, blocked=False, now=self._clock())
        self._writer.resume(self.epoch)
        self._wake()
        _log.debug("mailbox_owned", queue=self._queue.name, partition=self._number, epoch=self.epoch)
        return True

    async def hold(self) -> None:
        loop = asyncio.get_running_loop()
        next_tick = loop.time() + self._policy.tick_s * random.random()  # noqa: S311 - spreads ticks, guards nothing
        while True:
            if self._trouble is not None:
                raise self._trouble
            if loop.time() >= next_tick:  # before the pages, or many of them would cost the lease
                next_tick = loop.time() + self._policy.tick_s
                await self._tick()
                continue
            if self._intake.arrivals.page_wanted:
                await self._intake.page(self._policy.page_s)
                self._wake()
                continue
            self._nudge.clear()
            try:
                async with asyncio.timeout_at(next_tick):
                    await self._nudge.wait()
            except TimeoutError:
                pass

    async def _begin(self, lease: Lease) -> None:
        self._close()
        highest = await self._journal.highest()
        # From the low water mark on all that waits will be paged; late transactional rows below it are swept.
        left = Progress(lease.low_water, lease.swept_to, lease.clock_s)
        tick = await self._journal.tick(lease.epoch, left, lease_s=None, sweep_below=lease.low_water)
        late = await self._journal.load_seqs(tick.seqs) if tick.seqs else []
        self._window.open(self._number, lease.clock_s, self._clock())
        self._is_open = True
        self._next_seq = max(highest + 1, lease.low_water, 1)
        self._intake.begin(lease.low_water, self._next_seq - 1)
        self._swept_to, self._intake.waiting, self.dead_letters = tick.swept_to, 0, 0
        self._low_water = lease.low_water
        self._intake.take_rows(late)

    async def _tick(self) -> None:
        asked_at = self._clock()
        renew = asked_at - self._renewed_at >= self._policy.renew_s
        sweep_below = 0 if self._gives_seqs else _EVERY_SEQ
        if not renew and not sweep_below:
            return
        tick = await self._journal.tick(
            self.epoch,
            self._progress(),
            lease_s=self._policy.lease_s if renew else None,
            sweep_below=sweep_below,
        )
        if not tick.held:
            raise FencedError(self._queue.name, self._number, self.epoch)
        if renew:
            self._renewed(asked_at)
        unknown = [seq for seq in tick.seqs if self._intake.arrivals.wants(seq)]
        for start in range(0, len(unknown), PAGE):
            if self._clock() - self._renewed_at >= self._policy.lease_s / 2:
                return  # the next tick finds the rest, after it has renewed the lease
            self._intake.take_rows(await self._journal.load_seqs(unknown[start : start + PAGE]))
        if not self._gives_seqs:
            self._swept_to = tick.swept_to

    def _renewed(self, asked_at: float) -> None:
        # The server counts from when it was asked at the earliest.
        self._renewed_at = asked_at
        self._window.hold_until(self._number, asked_at + self._policy.lease_s)
        if self.state is State.OWNING and self._trouble is None:
            self._window.set_blocked(self._number, blocked=False, now=self._clock())
            self._wake()

    def _progress(self) -> Progress:
        clock = self._window.shelf(self._number).clock
        return Progress(self._intake.low_water(), self._swept_to, clock.reading(self._clock()))

    def _close(self) -> None:
        self._window.close(self._number, self._clock())
        self._writer.forget()
        self._doubtful.clear()
        self._is_open = self.counted = False

    def suspend(self, error: MailboxError) -> None:
        if self.state is State.OWNING:
            self.state = State.RECOVERING
        if self._is_open:
            self._window.set_blocked(self._number, blocked=True, now=self._clock())
        self._writer.suspend(error)

    def give_up(self, error: MailboxError) -> None:
        self._writer.suspend(error)
        self._close()
        self.state = State.PASSIVE
