"""The group commit of a partition: what was asked for while a commit was under way goes into the next one.

Appends go at once and their publishers are answered after the commit; settlements linger a little for company. A
flush that fails leaves its appends in doubt: their publishers are told so, and the partition looks the ids up when it
owns the journal again. Settlements are kept until they are written.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from actors.mailbox.errors import (
    FencedError,
    JournalUnavailableError,
    MailboxError,
    OverloadedError,
    OwnerNotReadyError,
)
from actors.mailbox.flight import Flight, Waiting, WriterLimits, WriterOwner, fail
from actors.mailbox.journal import Batch, Journal, Retry, Settlement
from actors.mailbox.message import Message
from actors.mailbox.pacing import flush_wait_s
from telemetry.log import get_logger

_log = get_logger("mailbox")
_RETRY_AFTER_S = 0.2


class Writer:
    """Writes one partition. Everything happens in one event loop; state never straddles an await."""

    def __init__(
        self, queue: str, journal: Journal, owner: WriterOwner, limits: WriterLimits, clock: Callable[[], float]
    ) -> None:
        self._queue, self._journal, self._owner, self._limits, self._clock = queue, journal, owner, limits, clock
        self._epoch: int | None = None
        self._why: MailboxError = OwnerNotReadyError(queue, "its owner is starting")
        self._waiting: deque[Waiting] = deque()
        self._waiting_messages = self._waiting_bytes = 0
        self._settlements: list[tuple[Settlement, Message | None]] = []
        self._retries: dict[int, Retry] = {}
        self._oldest_settlement = 0.0
        # Seqs that are settled in memory, and their tenants.
        self._unwritten: dict[int, str] = {}
        # In the order in which they began. After a suspension those under way are left alone with their tasks.
        self._flights: deque[Flight] = deque()
        self._tasks: dict[asyncio.Task[None], Flight] = {}
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
    def waiting(self) -> int:
        """Appends that wait for a commit to begin."""
        return self._waiting_messages

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
        waiting, self._waiting = self._waiting, deque()
        self._waiting_messages = self._waiting_bytes = 0
        for one in waiting:
            fail(one.answer, error)
            if not one.dead:
                self._owner.dropped(one.messages)
        return [stored for flight in flights for stored in flight.ids]

    def forget(self) -> None:
        """Drop the settlements: another owner delivers those messages now."""
        self._settlements, self._retries, self._unwritten = [], {}, {}
        for flight in self._tasks.values():
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
        """
        if self._epoch is None:
            # Made anew, for one that is raised again and again would collect the traces of all.
            raise type(self._why)(*self._why.args)
        size_bytes = sum(len(message.body) for message in messages)
        limits = self._limits
        if (
            self._waiting_messages + len(messages) > limits.waiting_messages
            or self._waiting_bytes + size_bytes > limits.waiting_bytes
        ):
            raise OverloadedError(self._queue, _RETRY_AFTER_S)
        if not dead:
            self._owner.admit(messages)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(messages, dead, size_bytes, answer, letters))
        self._waiting_messages += len(messages)
        self._waiting_bytes += size_bytes
        self._pump()
        return answer

    def settle(self, settlement: Settlement, tenant: str, dead_letter: Message | None) -> None:
        """Write the end of a tenant's message soon, and in the same commit its dead letter."""
        self._settlements.append((settlement, dead_letter))
        self._retries.pop(settlement.seq, None)
        self._unwritten[settlement.seq] = tenant
        self._linger()

    def retry(self, retry: Retry) -> None:
        """Write soon that a message will be tried again."""
        self._retries[retry.seq] = retry
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
        for answer in [answer for flight in under_way.values() for answer in flight.answers]:
            fail(answer, JournalUnavailableError(self._queue, "its owner has stopped"))
        if self._timer is not None:
            self._timer.cancel()

    def _linger(self) -> None:
        if len(self._settlements) + len(self._retries) == 1:
            self._oldest_settlement = self._clock()
        self._pump()

    def _pump(self) -> None:
        """Begin flushes while there is something to write and a place for it."""
        while self._epoch is not None and len(self._tasks) < self._limits.flushes:
            if self._tasks and self._waiting_messages < self._limits.beside:
                return  # the flush under way begins the next one when it lands
            wait_s = flush_wait_s(
                now=self._clock(),
                appends=len(self._waiting),
                settlements=len(self._settlements) + len(self._retries),
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
        flight = self._next_flight(epoch)
        self._flights.append(flight)
        task = asyncio.get_running_loop().create_task(self._fly(flight))
        self._tasks[task] = flight

    def _next_flight(self, epoch: int) -> Flight:
        floor = self._owner.floor()
        messages: list[Message] = []
        dead: list[Message] = []
        letters: list[Settlement] = []
        answers: list[asyncio.Future[None]] = []
        size_bytes = 0
        while self._waiting:
            one = self._waiting[0]
            full = len(messages) + len(dead) + len(one.messages) > self._limits.batch_messages
            if answers and (full or size_bytes + one.size_bytes > self._limits.batch_bytes):
                break
            self._waiting.popleft()
            self._waiting_messages -= len(one.messages)
            self._waiting_bytes -= one.size_bytes
            size_bytes += one.size_bytes
            (dead if one.dead else messages).extend(one.messages)
            letters.extend(one.letters)
            answers.append(one.answer)
        most = self._limits.batch_messages
        settlements, self._settlements = self._settlements[:most], self._settlements[most:]
        retries, self._retries = self._retries, {}
        dead += [letter for _, letter in settlements if letter is not None]
        batch = Batch(
            self._owner.stamp(messages), dead, [one for one, _ in settlements], list(retries.values()), letters
        )
        return Flight(epoch, floor, batch, [letter for _, letter in settlements], answers)

    async def _fly(self, flight: Flight) -> None:
        error: MailboxError | None = None
        try:
            flight.outcome = await self._journal.write(flight.epoch, flight.batch)
        except MailboxError as failure:
            error = failure
        except Exception as fault:  # noqa: BLE001 - whatever it was, the publishers are to hear of it
            _log.exception("journal_write_raised", queue=self._queue)
            error = JournalUnavailableError(self._queue, type(fault).__name__)
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.pop(task, None)
        if error is None:
            self._landed(flight)
        else:
            self._crashed(flight, error)
        self._pump()

    def _landed(self, flight: Flight) -> None:
        for answer in flight.answers:
            if not answer.done():
                answer.set_result(None)
        seqs = [one.seq for one in flight.batch.settlements if one.seq in self._unwritten]
        self._owner.settled([self._unwritten.pop(seq) for seq in seqs])
        if flight in self._flights:
            self._report_in_order()
        else:
            self._count_alone(flight)

    def _count_alone(self, flight: Flight) -> None:
        if flight.outcome is not None:
            self._owner.written(flight.batch.appends, flight.outcome, takes=False)

    def _report_in_order(self) -> None:
        # In the order in which they began, which is the order of arrival.
        while self._flights and self._flights[0].outcome is not None:
            first = self._flights.popleft()
            assert first.outcome is not None
            self._owner.written(first.batch.appends, first.outcome, takes=True)

    def _crashed(self, flight: Flight, error: MailboxError) -> None:
        for answer in flight.answers:
            fail(answer, error)
        kept = [
            (one, letter)
            for one, letter in zip(flight.batch.settlements, flight.letters, strict=True)
            if one.seq in self._unwritten
        ]
        self._settlements = kept + self._settlements
        settled = {one.seq for one, _ in self._settlements}
        for retry in flight.batch.retries:
            if retry.seq not in settled:
                self._retries.setdefault(retry.seq, retry)
        if flight in self._flights:
            self._flights.remove(flight)
            self._owner.failed(error, flight.ids)
