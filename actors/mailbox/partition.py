"""One partition under its owner: what is published to it and what becomes of its messages."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from actors.mailbox.apart import append_each
from actors.mailbox.capacity import Capacity
from actors.mailbox.census import Census
from actors.mailbox.deaths import dead_letter
from actors.mailbox.errors import InvalidMessageError, JournalRefusedError, MailboxError, QueueFullError
from actors.mailbox.intake import Intake
from actors.mailbox.interventions import Interventions
from actors.mailbox.journal import Append, Journal, Written
from actors.mailbox.lane import History, Verdict
from actors.mailbox.letter_figure import LetterFigure
from actors.mailbox.limits import check_arrived
from actors.mailbox.message import Message, PublishedRow
from actors.mailbox.ownership import PartitionPolicy, State
from actors.mailbox.records import new_arrivals
from actors.mailbox.register import Register
from actors.mailbox.tenure import Tenure
from actors.mailbox.window import Window
from actors.mailbox.writer import Writer
from config.topology import Queue
from telemetry.log import get_logger

_log = get_logger("mailbox")


class Partition:
    """Implements ``WriterOwner``.

    What survives a crash is in the journal; the rest of the state is built anew from there.

    Args:
        queue: whose.
        number: which.
        journal: its.
        window: shared with the other partitions of the queue.
        has_dead_letters: whether its queue has a dead-letter queue.
        owner: name of the actor; a process that is started anew under it takes over at once.
        policy: see there.
        clock: of the window, monotonic seconds.
        wake: called when something may have become deliverable.
        capacity: of the actor, shared with its other partitions.
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
        capacity: Capacity | None = None,
    ) -> None:
        self._queue, self._number, self._journal, self._window = queue, number, journal, window
        self._has_dead_letters, self._clock, self._wake = has_dead_letters, clock, wake
        self._capacity = Capacity(queue, [number]) if capacity is None else capacity
        self._census = Census(queue.name, number, journal, self._capacity, policy.ownership.count_again_s)
        self._writer = Writer(queue.name, journal, self, policy.writer, clock)
        self.counters: Counter[str] = Counter()
        self._intake = Intake(
            queue,
            number,
            journal,
            window,
            self._writer,
            has_dead_letters=has_dead_letters,
            clock=clock,
            counters=self.counters,
        )
        # Messages that were settled without having been in memory, by cause.
        self.buried = self._intake.buried
        self._register = Register(
            queue, self._writer, self._intake, self.counters, has_dead_letters=has_dead_letters, clock=clock
        )
        self._tenure = Tenure(
            queue,
            number,
            journal,
            window,
            writer=self._writer,
            intake=self._intake,
            owner=owner,
            policy=policy.ownership,
            clock=clock,
            wake=wake,
            begun=self._begun,
            ticks=self._register.again,
            census=self._census,
            counters=self.counters,
        )
        self.interventions = Interventions(
            queue.name,
            journal,
            self,
            number=number,
            window=window,
            writer=self._writer,
            intake=self._intake,
            clock=clock,
        )
        # Where units of work write as well, only the database can give seqs.
        self._gives_seqs = queue.partition_by == "key"
        self._next_seq = 1
        self._letters = LetterFigure()

    @property
    def state(self) -> State:
        """Where its owner stands."""
        return self._tenure.state

    @property
    def epoch(self) -> int:
        """Under which it is written; -1 before the first."""
        return self._tenure.epoch

    @property
    def counted(self) -> bool:
        """Whether what waits was counted since it was taken over."""
        return self._census.is_exact

    @property
    def waiting(self) -> int:
        """Messages that are not settled, those in flight included; while they are counted at least so many."""
        if not self._tenure.is_open:
            return 0
        held = len(self._window.shelf(self._number).entries) + self._intake.held
        if self._intake.arrivals.unread_from is None:
            return held
        counted = self._capacity.waiting(self._number) - len(self._writer.settling)
        return max(held, counted, 0 if self.counted else 1)

    @property
    def dead_letters(self) -> int:
        """How many there are, about; once they were counted in peace, exactly."""
        return self._letters.number

    @property
    def paused(self) -> bool:
        """Whether an operator has stopped its deliveries."""
        return self._tenure.paused

    @property
    def arrived(self) -> int:
        """How many messages have come under this process, about."""
        return self._intake.arrived

    def statistics(self) -> dict[str, Any]:
        """A snapshot."""
        return {
            "state": self.state.value,
            "why": self._tenure.why,
            "epoch": self.epoch,
            "waiting": self.waiting,
            "paging": self._intake.arrivals.unread_from is not None,
            "counted": self.counted,
            "paused": self.paused,
            "dead_letters": self.dead_letters,
        }

    async def pause(self, *, paused: bool) -> None:
        """Deliver nothing until told otherwise, whoever owns the partition by then; raises ``MailboxError``."""
        await self._tenure.pause(paused=paused)

    async def run(self) -> None:
        """Own the partition as far as others let it, until cancelled."""
        await self._tenure.run()

    @property
    def count_wanted(self) -> bool:
        """Whether its dead letters are to be counted, after a takeover or because it is time again."""
        return self.state is State.OWNING and self._letters.wanted(self.epoch, self._clock())

    async def count(self) -> None:
        """Count the dead letters.

        Raises:
            JournalUnavailableError: it took too long.
        """
        begun = self._letters.begin(self.epoch, self._clock(), under_way=self._writer.is_burying)
        letters = await self._journal.dead_letters()
        if self.state is State.OWNING and begun.epoch == self.epoch:
            self._letters.counted(begun, letters, self._clock(), under_way=self._writer.is_burying)

    async def append(self, messages: Sequence[Message], counts: Sequence[int] = ()) -> list[MailboxError | None] | None:
        """Return when the messages are committed.

        Args:
            messages: of one publisher or several.
            counts: how many each of them has, in order; what one has of a tenant is taken or refused as a whole.

        Returns:
            None if all are committed; where there was no room for all, or the journal cannot hold one of them, the
            error of each publisher or None.

        Raises:
            QueueFullError: of one publisher; the messages of tenants that are not named there are committed.
            MailboxError: nothing is promised then.
        """
        try:
            check_arrived(messages)
            await self._writer.append(messages)
        except (QueueFullError, JournalRefusedError, InvalidMessageError) as error:
            return await append_each(self._writer, self._capacity, messages, counts, error)
        return None

    async def append_dead_letters(self, messages: Sequence[Message], reason: str) -> None:
        """Return when the messages are committed to the dead-letter queue; raises as ``append``."""
        check_arrived(messages)
        wall = time.time()
        letters = [dead_letter(message, self._queue, "rejected", reason, wall) for message in messages]
        await self._writer.append(letters, dead=True)

    def told(self, rows: Sequence[PublishedRow]) -> None:
        """Take in what was published with a change, as far as it can be now.

        While the journal is away too, or what is told of afterwards would overtake it. If the partition is not open,
        the pages that follow a takeover hold it.
        """
        if not self._tenure.is_open:
            return
        self._intake.told(rows, self._clock())
        self._tenure.came()

    def record(self, verdict: Verdict) -> None:
        """Write what became of a message. Raises nothing, or who tells of many verdicts would lose those behind."""
        try:
            self._register.record(verdict)
            self._tenure.went()
        except Exception as fault:  # noqa: BLE001 - whatever it was, the journal knows what is not settled
            _log.exception("mailbox_record_raised", queue=self._queue.name, partition=self._number)
            self._tenure.broken(fault)

    def settled_by_hand(self, verdict: Verdict) -> None:
        """Write that an operator has taken a message out of the window. As ``record``."""
        self.record(verdict)

    async def stop(self, timeout_s: float) -> None:
        """Write what is settled and hand the partition over. ``run`` must have been cancelled."""
        await self._tenure.stop(timeout_s)

    async def abandon(self) -> None:
        """Stop where it is, as a crash would. ``run`` must have been cancelled."""
        await self._tenure.abandon()

    # WriterOwner

    def stamp(self, messages: Sequence[Message]) -> list[Append]:
        clock_s = self._window.shelf(self._number).clock.reading(self._clock())
        if not self._gives_seqs:
            return [Append(message, None, clock_s) for message in messages]
        first, self._next_seq = self._next_seq, self._next_seq + len(messages)
        return [Append(message, first + position, clock_s) for position, message in enumerate(messages)]

    def floor(self) -> int:
        return self._next_seq if self._gives_seqs else self._intake.arrivals.max_seen + 1

    def written(self, appends: Sequence[Append], written: Written, *, takes: bool) -> None:
        self._letters.changed(written.dead_letters)
        if not self._tenure.is_open or not appends:
            return
        now = self._clock()
        arrivals = new_arrivals(appends, written)
        if takes:
            for seq, append in arrivals:
                self._intake.arrive(seq, append.message, History(append.clock_s), now)
        # Where they are looked up they are counted anew as well.
        if takes and len(arrivals) < len(appends):
            taken = Counter(append.message.tenant for append in appends)
            taken.subtract(append.message.tenant for _, append in arrivals)
            self._capacity.gone(self._number, taken.elements())
        self.counters["commits"] += 1
        self.counters["published"] += len(arrivals)
        self.counters["duplicate"] += len(appends) - len(arrivals)
        self._tenure.came()

    def admit(self, messages: Sequence[Message]) -> None:
        self._capacity.admit(self._number, messages)

    def dropped(self, messages: Sequence[Message]) -> None:
        if self._tenure.is_open:
            self._capacity.gone(self._number, (message.tenant for message in messages))

    def settled(self, tenants: Sequence[str]) -> None:
        if self._tenure.is_open:
            self._capacity.gone(self._number, tenants)
            self._tenure.went()  # a page may have waited for just this

    def failed(self, error: MailboxError, doubtful_ids: Sequence[str]) -> None:
        self._tenure.failed(error, doubtful_ids)

    def broken(self, fault: Exception) -> None:
        self._tenure.broken(fault)

    def _begun(self, next_seq: int) -> None:
        self._next_seq = next_seq
        self._letters.forget()
        self._register.forget()
