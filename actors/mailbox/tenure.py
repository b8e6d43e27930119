"""How a partition is owned: taken over, held by renewals and sweeps, given up, handed over."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from actors.mailbox.census import Census
from actors.mailbox.errors import FencedError, JournalUnavailableError, MailboxError, OwnerNotReadyError
from actors.mailbox.incarnation import incarnation
from actors.mailbox.intake import Intake
from actors.mailbox.journal import Counted, Journal, Lease, Look, Progress
from actors.mailbox.ownership import OwnershipPolicy, State, keep_owning
from actors.mailbox.paged_expiry import PagedExpiry
from actors.mailbox.sight import Sight
from actors.mailbox.window import Window
from actors.mailbox.writer import Writer
from config.topology import Queue
from telemetry.log import get_logger

_EVERY_SEQ = (1 << 63) - 1
# An operator waits so long for an owner that is about to own.
_PATIENCE_S, _LOOK_S = 1.5, 0.02
_log = get_logger("mailbox")


class Tenure:
    """Implements ``OwnerLife``.

    Messages are handed out only while the partition is owned beyond doubt: the window is blocked where a renewal came
    late, a write is in doubt, or somebody else owns it.

    Args:
        queue: whose.
        number: which.
        journal: its.
        window: shared with the other partitions of the queue.
        writer: of the partition; resumed and suspended here.
        intake: of the partition.
        owner: name of the actor; its processes are told apart here.
        policy: see there.
        clock: of the window, monotonic seconds.
        wake: called when something may have become deliverable.
        begun: called with the next seq where the partition is read anew, before it is owned.
        ticks: called before each regular look at the journal.
        census: counts the partition when it was taken over.
        counters: of the partition.

    Attributes:
        state: where the owner stands.
        epoch: under which it writes; -1 before the first.
        is_open: whether the partition is in the window.
        low_water: as it was at the takeover.
        paused: whether an operator has stopped the deliveries.
        why: it is not owned beyond doubt; empty where it is.
    """

    def __init__(
        self,
        queue: Queue,
        number: int,
        journal: Journal,
        window: Window,
        *,
        writer: Writer,
        intake: Intake,
        owner: str,
        policy: OwnershipPolicy,
        clock: Callable[[], float],
        wake: Callable[[], None],
        begun: Callable[[int], None],
        ticks: Callable[[], None],
        census: Census,
        counters: Counter[str],
    ) -> None:
        self._queue, self._number, self._journal, self._window = queue, number, journal, window
        self._writer, self._intake = writer, intake
        self._owner, self._policy = incarnation(owner), policy
        self._clock, self._wake, self._begun, self._ticks, self._census = clock, wake, begun, ticks, census
        # Where units of work write as well, they have to be swept for.
        self._sweeps = queue.partition_by == "shard"
        self._paged_expiry = PagedExpiry(
            queue, number, journal=journal, window=window, intake=intake, writer=writer, clock=clock, counters=counters
        )
        self._sight = Sight()
        self._renewed_at = float("-inf")
        self._is_kept = False
        self._doubtful: set[str] = set()
        self._trouble: MailboxError | None = None
        # A write has failed, and none is known to succeed again.
        self._unproven = False
        self._nudge = asyncio.Event()
        self.state = State.STARTING
        self.epoch = -1
        self.is_open = False
        self.low_water = 0
        self.paused = False
        self.why = ""

    async def run(self) -> None:
        """Own the partition as far as others let it, until cancelled."""
        await keep_owning(self, self._policy, self._queue.name, self._number)

    async def pause(self, *, paused: bool) -> None:
        """Stop or go on delivering, and note it for who owns the partition next; raises ``MailboxError``."""
        until = self._clock() + _PATIENCE_S
        while self.state in {State.STARTING, State.RECOVERING} and self._clock() < until:  # noqa: ASYNC110 - short
            await asyncio.sleep(_LOOK_S)
        if self.state is not State.OWNING:
            raise JournalUnavailableError(self._queue.name, f"partition {self._number} is {self.state.value}")
        await self._journal.pause(self.epoch, paused=paused)
        self.paused = paused
        self._block_or_not()

    def came(self) -> None:
        """A message has come."""
        if self._intake.look_wanted or self._intake.page_wanted:
            self._nudge.set()
        self._wake()

    def went(self) -> None:
        """A message has left."""
        if self._intake.page_wanted or self._intake.arrivals.steps_over:
            self._nudge.set()

    def failed(self, error: MailboxError, doubtful_ids: Sequence[str]) -> None:
        """A write of this epoch failed: of these messages it is not known whether they are in the journal."""
        self._doubtful.update(doubtful_ids)
        if not isinstance(error.__cause__, TimeoutError):  # who is only slow is not to be given more to write
            self._unproven = True
        if self._trouble is None or isinstance(error, FencedError):
            self._trouble = error
        self.suspend(self._trouble)
        self._nudge.set()

    def broken(self, fault: Exception) -> None:
        """Something raised amid a change of what is in memory: all of it is forgotten now, and read anew."""
        self._trouble = JournalUnavailableError(self._queue.name, f"it is read anew after {type(fault).__name__}")
        self.give_up(self._trouble)
        self._nudge.set()

    async def stop(self, timeout_s: float) -> None:
        """Write what is settled and hand the partition over. ``run`` must have been cancelled."""
        if self.state is State.OWNING:
            self._window.set_blocked(self._number, blocked=True, now=self._clock())
            await self._writer.drain(timeout_s)
            await self._hand_over()
        await self.abandon()

    async def abandon(self) -> None:
        """Stop where it is, as a crash would. ``run`` must have been cancelled."""
        self._writer.suspend(JournalUnavailableError(self._queue.name, "its owner has stopped"))
        self.state = State.STOPPED
        await self._census.stop()
        await self._writer.aclose()

    # OwnerLife

    async def acquire(self) -> bool:
        self._trouble = None
        asked_at = self._clock()
        lease = await self._journal.take_over(self._owner, self._policy.lease_s, self.epoch if self.is_open else -1)
        if lease is None:
            self.give_up(OwnerNotReadyError(self._queue.name, "another owner holds it"))
            return False
        self.epoch, self._renewed_at, self.paused = lease.epoch, asked_at, lease.paused
        self._is_kept = False
        anew = not (lease.continued and self.is_open)
        if anew:
            await self._begin(lease)
        elif self._sweeps:
            anew = not self._sight.resume(lease)
        if self._doubtful:
            # What is in doubt stays so until it was taken in, whatever comes between.
            ids = list(self._doubtful)
            self._intake.take_rows(await self._journal.load_ids(ids))
            self._doubtful.difference_update(ids)
            anew = True
        if anew or not self._census.is_exact:
            # What was on its way to the journal is there or fenced, so that it can be counted exactly.
            settling = self._writer.settling
            await self._census.take(Counted(self._intake.low_water(), self._sight.swept_to, settling))
        if self._unproven:
            await self._journal.rehearse(self.epoch)
            self._unproven = False
        if self._trouble is not None:
            raise self._trouble
        if self._clock() >= asked_at + self._policy.lease_s:
            raise JournalUnavailableError(self._queue.name, "the lease lapsed before all was read")
        self.state, self.why = State.OWNING, ""
        self._window.hold_until(self._number, asked_at + self._policy.lease_s)
        self._window.set_blocked(self._number, blocked=self.paused, now=self._clock())
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
                self._ticks()
                await self._tick()
                await self._paged_expiry.look(self._policy.page_s)
                if self._census.due:
                    self.suspend(OwnerNotReadyError(self._queue.name, "its owner is counting what waits"))
                    return
                continue
            if self._intake.look_wanted and not self._intake.arrivals.paging:
                await self._tick()
                continue
            if await self._intake.fetch(self._policy.page_s):
                self._wake()
                continue
            self._nudge.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(next_tick, loop.time() + self._intake.again_in_s)):
                    await self._nudge.wait()

    def suspend(self, error: MailboxError) -> None:
        if self.state is State.OWNING:
            self.state = State.RECOVERING
        self.why = getattr(error, "detail", "") or str(error)
        if self.is_open:
            self._window.set_blocked(self._number, blocked=True, now=self._clock())
        self._doubtful.update(self._writer.suspend(error))
        self._census.missing()

    def give_up(self, error: MailboxError) -> None:
        self._writer.suspend(error)
        self._close()
        self._census.missing()
        self.state, self.why = State.PASSIVE, getattr(error, "detail", "") or str(error)

    async def _hand_over(self) -> None:
        try:
            # What is in doubt may stand below the low water mark that is known here. The lease lapses soon anyway.
            if self._trouble is not None:
                raise self._trouble
            await self._journal.release(self.epoch, self._progress())
        except MailboxError as error:
            _log.warning("handover_failed", queue=self._queue.name, partition=self._number, error=str(error))

    async def _begin(self, lease: Lease) -> None:
        self._close()
        highest = await self._journal.highest()
        # From the low water mark on all that waits will be paged; late transactional rows below it are swept.
        left = Progress(lease.low_water, lease.swept_to, lease.clock_s, lease.era)
        tick = await self._journal.tick(lease.epoch, left, Look(None, sweep_below=lease.low_water))
        self._window.open(self._number, lease.clock_s, self._clock())
        next_seq = max(highest + 1, lease.low_water, 1)
        self._intake.begin(lease.low_water, next_seq - 1)
        self._paged_expiry.begin()
        self.low_water = lease.low_water
        self._sight.looked(tick)
        self._begun(next_seq)
        # Before it counts as open, so that it is begun again should that fail.
        await self._intake.end_look(tick, lambda: True)
        self.is_open = True

    async def _tick(self) -> None:
        asked_at = self._clock()
        # The first tick keeps the age clock whatever the lease needs: what ran since the last one a crash gives back.
        renew = not self._is_kept or asked_at - self._renewed_at >= self._policy.renew_s
        if not renew and not self._sweeps:
            return
        self._intake.begin_look()
        tick = await self._journal.tick(
            self.epoch,
            self._progress() if renew else Progress(0, self._sight.swept_to, 0.0, self._sight.era),
            Look(
                lease_s=self._policy.lease_s if renew else None,
                sweep_below=_EVERY_SEQ if self._sweeps else 0,
                seen=self._sight.snapshot,
                since=self._census.snapshot if self._sweeps else "",
            ),
        )
        if not tick.held:
            raise FencedError(self._queue.name, self._number, self.epoch)
        if self._sweeps and tick.era != self._sight.era:
            raise JournalUnavailableError(self._queue.name, "its server has crashed, or is another one")
        self._census.appeared(tick)
        if renew:
            # The server counts from when it was asked at the earliest.
            self._renewed_at, self._is_kept = asked_at, True
            self._window.hold_until(self._number, asked_at + self._policy.lease_s)
            self._block_or_not()
        # What is left the next tick finds, after it has renewed the lease.
        half_s = self._policy.lease_s / 2
        whole = await self._intake.end_look(tick, lambda: self._clock() - self._renewed_at < half_s)
        if self._sweeps and whole:
            self._sight.looked(tick)
        self._wake()

    def _block_or_not(self) -> None:
        if self.state is State.OWNING and self._trouble is None:
            self._window.set_blocked(self._number, blocked=self.paused, now=self._clock())
            self._wake()

    def _progress(self) -> Progress:
        clock_s = self._window.shelf(self._number).clock.reading(self._clock())
        return Progress(self._intake.low_water(), self._sight.swept_to, clock_s, self._sight.era)

    def _close(self) -> None:
        self._window.close(self._number, self._clock())
        self._writer.forget()
        self._doubtful.clear()
        self._census.close()
        self.is_open = False
