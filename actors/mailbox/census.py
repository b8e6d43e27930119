"""Counts what waits in a partition when it was taken over, before appends are let in."""

import asyncio

from actors.mailbox.capacity import Capacity
from actors.mailbox.errors import JournalUnavailableError, MailboxError
from actors.mailbox.journal import Counted, Counting, Journal, Tick
from telemetry.log import get_logger

_log = get_logger("mailbox")


class Census:
    """Keeps one partition's entry in the capacity right.

    What can be counted at once is; a count that takes longer goes on beside deliveries and settlements, from a
    snapshot, and appends wait for it. If it fails appends are let in uncounted, until it is ``due`` again.

    Attributes:
        snapshot: up to which what units of work wrote is counted; empty before the first count.
    """

    def __init__(self, queue: str, number: int, journal: Journal, capacity: Capacity, again_s: float) -> None:
        self._queue, self._number, self._journal, self._capacity = queue, number, journal, capacity
        self._again_s = again_s
        self._counting: asyncio.Task[None] | None = None
        self._again_at: float | None = None
        self.snapshot = ""

    @property
    def due(self) -> bool:
        """Whether the last count failed some while ago."""
        return self._again_at is not None and asyncio.get_running_loop().time() >= self._again_at

    @property
    def is_exact(self) -> bool:
        """Whether the partition was counted."""
        return self._capacity.is_exact(self._number)

    async def take(self, counted: Counted) -> None:
        """Count. To be called while nothing is under way to the journal, and the partition is held.

        Every way that it ends lets appends in sooner or later.
        """
        await self.stop()
        self._again_at = None
        self._capacity.begin_count(self._number)
        try:
            count = await self._journal.count(counted)
        except MailboxError:
            await self._go_on_beside(counted)
            return
        self.snapshot = count.snapshot
        self._capacity.counted(self._number, count.tenants)

    def appeared(self, tick: Tick) -> None:
        """Count what units of work wrote since the last look."""
        if self.snapshot:
            self.snapshot = tick.snapshot
            self._capacity.appeared(self._number, tick.appeared)

    def missing(self) -> None:
        """The partition cannot be owned for now."""
        self._capacity.missing(self._number)

    def close(self) -> None:
        """The partition is not owned any more."""
        self.snapshot = ""
        if self._counting is not None:
            self._counting.cancel()
            self._counting = None
        self._capacity.closed(self._number)

    async def stop(self) -> None:
        """End a count that is under way."""
        counting, self._counting = self._counting, None
        if counting is not None:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)

    async def _go_on_beside(self, counted: Counted) -> None:
        try:
            counting = await self._journal.begin_count(counted)
        except MailboxError as error:
            self._failed(error)
            return
        self.snapshot = counting.snapshot
        self._counting = asyncio.get_running_loop().create_task(self._finish(counting))
        # A task that is cancelled before it has begun never comes to its end.
        self._counting.add_done_callback(lambda _: counting.abandon())

    def _failed(self, error: MailboxError) -> None:
        _log.warning("mailbox_not_counted", queue=self._queue, partition=self._number, error=str(error))
        self._again_at = asyncio.get_running_loop().time() + self._again_s
        self._capacity.opened(self._number)

    async def _finish(self, counting: Counting) -> None:
        try:
            count = await counting.result()
        except MailboxError as error:
            self._failed(error)
        except Exception as fault:  # noqa: BLE001 - whatever it was, appends are not to wait for ever
            _log.exception("mailbox_count_raised", queue=self._queue, partition=self._number)
            self._failed(JournalUnavailableError(self._queue, type(fault).__name__))
        else:
            self._capacity.counted(self._number, count.tenants)
