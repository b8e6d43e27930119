"""What an operator does to the messages of one partition: looks at them, puts dead letters back, settles them by hand.

Nothing is deleted: what was put back or purged is settled with that outcome. Everything is written under the owner's
epoch, so that an overtaken owner changes nothing, and in the same commits as all else.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from actors.mailbox.errors import JournalUnavailableError
from actors.mailbox.intake import Intake
from actors.mailbox.journal import Journal, Row, Settlement
from actors.mailbox.lane import Verdict
from actors.mailbox.message import Message
from actors.mailbox.ownership import State
from actors.mailbox.redriven import MOST, redriven, redrives
from actors.mailbox.retry import Cause
from actors.mailbox.selection import Peeked, Selection, Tally, Which, death_of, is_left
from actors.mailbox.window import Window
from actors.mailbox.writer import Writer

# Of one commit.
_BATCH_BYTES = 4_000_000
_WRITTEN_S, _LOOK_S = 5.0, 0.01


class Step(NamedTuple):
    """What one batch did.

    Attributes:
        ids: of the messages that it changed.
        last_seq: where the next batch goes on; None if there is no more.
        in_flight: messages that were left, for a consumer has them.
        corrupt: rows that were left, for their checksum does not fit, or did not when they died.
        worn_out: messages that were left, for they were put back too often.
    """

    ids: tuple[str, ...]
    last_seq: int | None
    in_flight: int = 0
    corrupt: int = 0
    worn_out: int = 0


class Partition(Protocol):
    """The partition, as far as it has to know."""

    counters: Counter[str]

    @property
    def state(self) -> State:
        """Where its owner stands."""

    def settled_by_hand(self, verdict: Verdict) -> None:
        """An operator has taken a message out of the window."""


class Interventions:
    """Works on one partition, one batch at a time. The caller sees to it that no two of them are under way at once."""

    def __init__(
        self,
        queue: str,
        journal: Journal,
        partition: Partition,
        *,
        number: int,
        window: Window,
        writer: Writer,
        intake: Intake,
        clock: Callable[[], float],
    ) -> None:
        self._queue, self._number, self._journal, self._partition = queue, number, journal, partition
        self._window, self._writer, self._intake, self._clock = window, writer, intake, clock

    async def peek(
        self, which: Which, wanted: Selection, *, after_seq: int, limit: int, body_bytes: int
    ) -> list[Peeked]:
        """Messages in order; as the journal knows them, so what was settled in this moment may be among them."""
        return await self._journal.peek(which, wanted, after_seq=after_seq, limit=limit, body_bytes=body_bytes)

    async def tally(self, which: Which, wanted: Selection) -> list[Tally]:
        """Counts of messages by tenant and reason."""
        return await self._journal.tally(which, wanted)

    async def redrive(self, wanted: Selection, *, after_seq: int, limit: int) -> Step:
        """Put the next dead letters back into the queue, in their order and in one commit.

        Nothing else leads from a dead-letter queue anywhere, so this is where a message that dies each time anew is
        stopped from going round, and counted.

        What was damaged is put back if the selection names that reason, and not otherwise.

        Raises:
            MailboxError: of these letters it is not known whether they were; to repeat it is safe.
        """
        found = await self._found("dead", wanted, after_seq, limit)
        if not found:
            return Step((), None)
        now = time.time()
        rows = await self._journal.load_letters([one.seq for one in found])
        whole = [row for row in rows if row.intact and not is_left(wanted, death_of(row.message))]
        ours = [row for row in whole if redrives(row.message) < MOST]
        await self._write_letters([redriven(row.message, now) for row in ours], [_end(row, "redriven") for row in ours])
        corrupt, worn_out = len(rows) - len(whole), len(whole) - len(ours)
        self._partition.counters["loops_cut"] += worn_out
        ids = tuple(row.message.id for row in ours)
        return Step(ids, found[-1].seq, corrupt=corrupt, worn_out=worn_out)

    async def purge_dead(self, wanted: Selection, *, after_seq: int, limit: int) -> Step:
        """Settle the next dead letters as purged; raises as ``redrive``."""
        found = await self._found("dead", wanted, after_seq, limit)
        if not found:
            return Step((), None)
        ends = [_end(one, "purged") for one in found]
        await self._write_letters([], ends)
        return Step(tuple(one.message.id for one in found), found[-1].seq)

    async def purge_waiting(self, wanted: Selection, *, after_seq: int, limit: int) -> Step:
        """Settle the next waiting messages as purged, but for those that a consumer has; raises as ``redrive``."""
        found = await self._found("waiting", wanted, after_seq, limit)
        if not found:
            return Step((), None)
        purged: list[Peeked] = []
        in_flight = 0
        for one in found:
            if self._writer.is_settling(one.seq) or self._intake.arrivals.is_over(one.seq):
                continue
            verdict = self._window.withdraw(self._number, one.seq, "purged", self._clock())
            if verdict is not None:
                self._partition.settled_by_hand(verdict)
            elif self._window.knows(self._number, one.seq):
                in_flight += 1
                continue
            else:
                self._intake.over(one.seq, self._clock())
                self._writer.settle(_end(one, "purged"), one.message.tenant, None)
            purged.append(one)
        await self._until_written([one.seq for one in purged])
        return Step(tuple(one.message.id for one in purged), found[-1].seq, in_flight=in_flight)

    async def _found(self, which: Which, wanted: Selection, after_seq: int, limit: int) -> list[Peeked]:
        if self._partition.state is not State.OWNING:
            raise JournalUnavailableError(self._queue, f"partition {self._number} is {self._partition.state.value}")
        found = await self._journal.peek(which, wanted, after_seq=after_seq, limit=limit, body_bytes=0)
        size_bytes = 0
        for place, one in enumerate(found):
            size_bytes += one.size_bytes
            if size_bytes > _BATCH_BYTES and place:
                return found[:place]
        return found

    async def _write_letters(self, messages: Sequence[Message], ends: Sequence[Settlement]) -> None:
        if ends:
            await self._writer.append(messages, letters=ends)

    async def _until_written(self, seqs: Sequence[int]) -> None:
        deadline = time.monotonic() + _WRITTEN_S
        while any(self._writer.is_settling(seq) for seq in seqs):
            if time.monotonic() > deadline:
                raise JournalUnavailableError(self._queue, "what was purged is not written yet")
            await asyncio.sleep(_LOOK_S)


def _end(one: Peeked | Row, cause: Cause) -> Settlement:
    return Settlement(one.seq, one.day, cause, "", one.lost)
