"""The group commit of a partition: what was asked for while a commit was under way goes into the next one.

Appends go at once and their publishers are answered after the commit; settlements linger a little for company. A
flush that fails leaves its appends in doubt: their publishers are told so, and the partition looks the ids up when it
owns the journal again. Settlements are kept until they are written.

A flush that the journal refuses for what is in it is written in halves, until what is at fault stands alone: its
publisher is told, or the message is settled without its dead letter. Nobody else's waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain

from actors.mailbox.backlog import Backlog
from actors.mailbox.errors import (
    FencedError,
    JournalRefusedError,
    JournalUnavailableError,
    MailboxError,
    OwnerNotReadyError,
)
from actors.mailbox.flight import Ending, Flight, Waiting, WriterLimits, WriterOwner, fail
from actors.mailbox.journal import Journal, Retry, Settlement
from actors.mailbox.message import Message
from actors.mailbox.pacing import flush_wait_s
from telemetry.log import get_logger

_log = get_logger("mailbox")


class Writer:
    """Writes one partition. Everything happens in one event loop; state never straddles an await."""

    def __init__(
        self, queue: str, journal: Journal, owner: WriterOwner, limits: WriterLimits, clock: Callable[[], float]
    ) -> None:
        self._queue, self._journal, self._owner, self._limits, self._clock = queue, journal, owner, limits, clock
        self._epoch: int | None = None
        self._why: MailboxError = OwnerNotReadyError(queue, "its owner is starting")
        self._backlog = Backlog(queue, limits)
        self._oldest_settlement = 0.0
        # Seqs that are settled in memory, and their tenants.
        self._unwritten: dict[int, str] = {}
        # In the order in which they began. After a suspension those under way are left alone with their tasks.
        self._flights: deque[Flight] = deque()
        # What each task has still to write, one after the other.
        self._tasks: dict[asyncio.Task[None], list[Flight]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def lowest_pending_seq(self) -> int | None:
        """Nothing that is being appended or still has to be settled is lower."""
        pending = [flight.floor for flight in self._flights]
        if self._unwritten:
            pending.append(min(self._unwritten))
        return min(pending, default=None)

    @property
    def reported_from(self) -> int:
        """Seqs from here on are reported by the flushes of this epoch, under way and to come."""
        return self._flights[0].floor if self._flights else self._owner.floor()

    @property
    def is_heavy(self) -> bool:
        """Whether so many dead letters wait for a commit that nothing should be read that may bring more."""
        return self._backlog.letter_bytes >= 2 * self._limits.batch_bytes

    @property
    def is_burying(self) -> bool:
        """Whether commits are under way, or not told of yet, that change how many dead letters there are."""
        return any(flight.cargo.buries for flight in chain(self._flights, *self._tasks.values()))

    @property
    def settling(self) -> list[int]:
        """Seqs that are settled in memory, but not yet for sure in the journal."""
        return list(self._unwritten)

    def is_settling(self, seq: int) -> bool:
        """Whether a message is settled in memory, but not yet in the journal."""
        return seq in self._unwritten

    def resume(self, epoch: int) -> None:
        """Write under this epoch from now on."""
        self._epoch = epoch
        self._pump()

    def suspend(self, error: MailboxError) -> list[str]:
        """Write no more; who waits for an append is told why. Settlements are kept.

        Returns:
            The message ids of the flushes under way. Their publishers will hear of them, but they are not reported as
            they land, which after a failure is not the order of arrival. A takeover waits for them or fences them;
            after it the ids can be looked up.
        """
        self._epoch = None
        self._why = OwnerNotReadyError(self._queue, str(error)) if isinstance(error, FencedError) else error
        flights, self._flights = self._flights, deque()
        for flight in flights:
            self._count_alone(flight)
        for one in self._backlog.clear_appends():
            fail(one.answer, error)
            if not one.dead:
                self._owner.dropped(one.messages)
        return [stored for flight in flights for stored in flight.ids]

    def forget(self) -> None:
        """Drop the settlements: another owner delivers those messages now."""
        self._backlog.forget()
        self._unwritten = {}
        for flight in [flight for course in self._tasks.values() for flight in course]:
            flight.forget()

    def append(
        self, messages: Sequence[Message], *, dead: bool = False, letters: Sequence[Settlement] = ()
    ) -> "asyncio.Future[None]":
        """Write messages with the next commit, into the queue or its dead-letter queue.

        Args:
            messages: to be written.
            dead: whether into the dead-letter queue.
            letters: dead letters that are settled in the same commit.

        Returns:
            A future that is done after the commit.

        Raises:
            OverloadedError: too many wait to be written.
            QueueFullError: too many wait in the queue.
            JournalUnavailableError: the partition is not owned now.

        The future raises as ``Journal.write``.
        """
        if self._epoch is None:
            # Made anew, for one that is raised again and again would collect the traces of all.
            raise type(self._why)(*self._why.args)
        size_bytes = sum(len(message.body) for message in messages)
        self._backlog.check(len(messages), size_bytes)
        if not dead:
            self._owner.admit(messages)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._backlog.append(Waiting(messages, dead, size_bytes, answer, letters))
        self._pump()
        return answer

    def settle(self, settlement: Settlement, tenant: str, dead_letter: Message | None) -> None:
        """Write the end of a tenant's message soon, and in the same commit its dead letter."""
        self._backlog.end(Ending(settlement, dead_letter))
        self._unwritten[settlement.seq] = tenant
        self._linger()

    def retry(self, retry: Retry) -> None:
        """Write soon that a message will be tried again."""
        self._backlog.retry(retry)
        self._linger()

    async def drain(self, timeout_s: float) -> None:
        """Write what waits, without lingering; for the end of the actor."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        self._oldest_settlement = float("-inf")
        self._pump()
        while self._tasks and loop.time() < deadline:
            await asyncio.wait(set(self._tasks), timeout=max(0.0, deadline - loop.time()))
            self._oldest_settlement = float("-inf")
            self._pump()

    async def aclose(self) -> None:
        """Break off what is under way; whether it is committed is then for the next owner to see."""
        under_way = dict(self._tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for answer in [answer for course in under_way.values() for flight in course for answer in flight.answers]:
            fail(answer, JournalUnavailableError(self._queue, "its owner has stopped"))
        if self._timer is not None:
            self._timer.cancel()

    def _linger(self) -> None:
        if self._backlog.settlements == 1:
            self._oldest_settlement = self._clock()
        self._pump()

    def _pump(self) -> None:
        """Begin flushes while there is something to write and a place for it."""
        try:
            self._begin_flushes()
        except Exception as fault:  # noqa: BLE001 - nobody awaits a timer, and who appends is not to blame
            self._broke(fault)

    def _begin_flushes(self) -> None:
        while self._epoch is not None and len(self._tasks) < self._limits.flushes:
            if self._tasks and self._backlog.messages < self._limits.beside:
                return  # the flush under way begins the next one when it lands
            wait_s = flush_wait_s(
                now=self._clock(),
                appends=self._backlog.appends,
                settlements=self._backlog.settlements,
                oldest_settlement=self._oldest_settlement,
                linger_s=self._limits.linger_s,
            )
            if wait_s is None:
                return
            if wait_s > 0:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(wait_s, self._on_timer)
                return
            self._begin(self._epoch)

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    def _begin(self, epoch: int) -> None:
        floor = self._owner.floor()
        flight = Flight(epoch, floor, self._backlog.take(self._owner.stamp))
        self._flights.append(flight)
        course = [flight]
        self._tasks[asyncio.get_running_loop().create_task(self._fly(course))] = course

    async def _fly(self, course: list[Flight]) -> None:
        waiting = [answer for flight in course for answer in flight.answers]
        try:
            await self._fly_on(course)
        except Exception as fault:  # noqa: BLE001 - nobody awaits this task
            for answer in waiting:
                fail(answer, JournalUnavailableError(self._queue, type(fault).__name__))
            self._broke(fault)

    def _broke(self, fault: Exception) -> None:
        _log.critical("mailbox_writer_raised", queue=self._queue, exc_info=fault)
        self._owner.broken(fault)

    async def _fly_on(self, course: list[Flight]) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while course:
                flight = course[0]
                error = await self._write(flight)
                if isinstance(error, JournalRefusedError) and flight in self._flights:
                    course[:1] = self._apart(flight, error)
                    continue
                del course[0]
                if not course:
                    del self._tasks[task]
                if error is None:
                    self._landed(flight)
                else:
                    self._crashed(flight, error)
        finally:
            self._tasks.pop(task, None)
        self._report_in_order()
        self._pump()

    async def _write(self, flight: Flight) -> MailboxError | None:
        try:
            batch = flight.cargo.batch()
            written = await self._journal.write(flight.epoch, batch)
            flight.outcome = written._replace(dead_letters=written.dead_letters - len(batch.letters))
        except MailboxError as failure:
            return failure
        except Exception as fault:  # noqa: BLE001 - whatever it was, the publishers are to hear of it
            _log.exception("journal_write_raised", queue=self._queue)
            return JournalUnavailableError(self._queue, type(fault).__name__)
        return None

    def _apart(self, flight: Flight, error: JournalRefusedError) -> list[Flight]:
        """Flights to be written instead of one that was refused; what cannot be written at all ends here."""
        smaller = flight.apart()
        place = self._flights.index(flight)
        del self._flights[place]
        for one in reversed(smaller):
            self._flights.insert(place, one)
        cargo = flight.cargo
        if cargo.size == 1:
            seqs = [append.seq for append in cargo.appends] + [one.settlement.seq for one in cargo.endings]
            seqs += [one.seq for one in cargo.retries]
            _log.error("journal_refused", queue=self._queue, seqs=seqs[:10], kept=bool(smaller), error=error.detail)
        if not smaller:
            for publication in cargo.publications:
                fail(publication.waiting.answer, error)
                if not publication.waiting.dead:
                    self._owner.dropped(publication.waiting.messages)
            self._written_for_good(cargo.endings)
        return smaller

    def _landed(self, flight: Flight) -> None:
        for answer in flight.answers:
            if not answer.done():
                answer.set_result(None)
        self._backlog.succeeded()
        self._written_for_good(flight.cargo.endings)
        if flight in self._flights:
            self._report_in_order()
        else:
            self._count_alone(flight)

    def _written_for_good(self, endings: Sequence[Ending]) -> None:
        tenants = [self._unwritten.pop(one.settlement.seq, None) for one in endings]
        self._owner.settled([tenant for tenant in tenants if tenant is not None])

    def _count_alone(self, flight: Flight) -> None:
        if flight.outcome is not None:
            self._owner.written(flight.cargo.appends, flight.outcome, takes=False)

    def _report_in_order(self) -> None:
        # In the order in which they began, which is the order of arrival.
        while self._flights and self._flights[0].outcome is not None:
            first = self._flights.popleft()
            assert first.outcome is not None
            self._owner.written(first.cargo.appends, first.outcome, takes=True)

    def _crashed(self, flight: Flight, error: MailboxError) -> None:
        for answer in flight.answers:
            fail(answer, error)
        if isinstance(error, JournalUnavailableError):
            self._backlog.failed()
        kept = [one for one in flight.cargo.endings if one.settlement.seq in self._unwritten]
        self._backlog.put_back(kept, flight.cargo.retries)
        if flight in self._flights:
            self._flights.remove(flight)
            self._owner.failed(error, flight.ids)
