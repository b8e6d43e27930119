"""What a partition's writer holds: appends that wait for a commit, and commits under way."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from actors.mailbox.errors import MailboxError
from actors.mailbox.journal import Append, Batch, Retry, Settlement, Written
from actors.mailbox.message import Message
from actors.mailbox.redriven import stored_id


class WriterLimits(NamedTuple):
    """What a partition's writer may hold.

    Attributes:
        flushes: commits under way at once.
        beside: appends that must wait before a commit begins beside another.
        linger_s: how long a settlement waits for company.
        batch_messages: messages of one commit.
        batch_bytes: their bodies, of one commit.
        waiting_messages: appends that may wait; more are refused.
        waiting_bytes: their bodies.
    """

    flushes: int = 2
    beside: int = 8
    linger_s: float = 0.03
    batch_messages: int = 2_000
    batch_bytes: int = 8_000_000
    waiting_messages: int = 20_000
    waiting_bytes: int = 64_000_000


class WriterOwner(Protocol):
    """The partition whose writes these are. Called synchronously, in the order in which flushes began."""

    def stamp(self, messages: Sequence[Message]) -> list[Append]:
        """Give the messages of a flush that begins now their seqs."""

    def floor(self) -> int:
        """No seq that is given from now on is lower."""

    def admit(self, messages: Sequence[Message]) -> None:
        """Raise ``MailboxError`` unless there is room for the messages, and keep it for them."""

    def dropped(self, messages: Sequence[Message]) -> None:
        """What was admitted is not written, and will not be."""

    def settled(self, tenants: Sequence[str]) -> None:
        """Settlements are committed: one name for each."""

    def written(self, appends: Sequence[Append], written: Written, *, takes: bool) -> None:
        """A flush is committed.

        Args:
            appends: which it held.
            written: of its dead letters how many came, less those that went.
            takes: False where its messages are looked up, as those in doubt are.
        """

    def failed(self, error: MailboxError, doubtful_ids: Sequence[str]) -> None:
        """A flush of this epoch failed. It is to be suspended."""

    def broken(self, fault: Exception) -> None:
        """Something raised that nobody foresaw: what the writer and its owner have in memory is to be forgotten."""


class Waiting(NamedTuple):
    """One publisher's messages for the next commit; ``dead`` go to the dead-letter queue, ``letters`` end there."""

    messages: Sequence[Message]
    dead: bool
    size_bytes: int
    answer: "asyncio.Future[None]"
    letters: Sequence[Settlement] = ()


class Publication(NamedTuple):
    """One publisher's messages in a commit; ``appends`` are those for the queue, with their seqs."""

    waiting: Waiting
    appends: Sequence[Append]


class Ending(NamedTuple):
    """The end of a message, and its dead letter."""

    settlement: Settlement
    letter: Message | None

    @property
    def size_bytes(self) -> int:
        """Of the letter's body."""
        return 0 if self.letter is None else len(self.letter.body)


class Cargo(NamedTuple):
    """What one commit writes, by what belongs together: that is written or refused as a whole."""

    publications: Sequence[Publication] = ()
    endings: Sequence[Ending] = ()
    retries: Sequence[Retry] = ()

    @property
    def size(self) -> int:
        """How many things there are that could be written by themselves."""
        return len(self.publications) + len(self.endings) + len(self.retries)

    @property
    def appends(self) -> list[Append]:
        """What goes into the queue, in order."""
        return [append for one in self.publications for append in one.appends]

    @property
    def buries(self) -> bool:
        """Whether it changes how many dead letters there are."""
        given = any(one.waiting.dead or one.waiting.letters for one in self.publications)
        return given or any(one.letter is not None for one in self.endings)

    def batch(self) -> Batch:
        """For the journal."""
        dead = [message for one in self.publications if one.waiting.dead for message in one.waiting.messages]
        dead += [one.letter for one in self.endings if one.letter is not None]
        letters = [letter for one in self.publications for letter in one.waiting.letters]
        return Batch(self.appends, dead, [one.settlement for one in self.endings], self.retries, letters)

    def halves(self) -> "tuple[Cargo, Cargo]":
        """Two that are together the same, in order."""
        middle = self.size // 2
        return self._cut(0, middle), self._cut(middle, self.size)

    def lesser(self) -> "Cargo | None":
        """Of the end of one message what may still be written where the journal refused it; None if nothing is left."""
        if not self.endings:
            return None
        settlement, letter = self.endings[0]
        if letter is None and not settlement.reason:
            return None
        return Cargo(endings=[Ending(settlement if letter is not None else settlement._replace(reason=""), None)])

    def _cut(self, start: int, end: int) -> "Cargo":
        parts = []
        for part in self:
            parts.append(part[max(0, start) : max(0, end)])
            start, end = start - len(part), end - len(part)
        return Cargo._make(parts)


class Flight:
    """One commit under way."""

    __slots__ = ("cargo", "epoch", "floor", "outcome")

    def __init__(self, epoch: int, floor: int, cargo: Cargo) -> None:
        self.epoch, self.floor, self.cargo = epoch, floor, cargo
        self.outcome: Written | None = None

    def forget(self) -> None:
        """Should it fail, nothing of it but its appends is to be thought of again."""
        self.cargo = self.cargo._replace(endings=(), retries=())

    def apart(self) -> "list[Flight]":
        """Flights that write the same, each less, where the journal refused it all; none where it cannot be less."""
        if self.cargo.size > 1:
            return [Flight(self.epoch, self.floor, one) for one in self.cargo.halves()]
        lesser = self.cargo.lesser()
        return [] if lesser is None else [Flight(self.epoch, self.floor, lesser)]

    @property
    def answers(self) -> "list[asyncio.Future[None]]":
        """For whom its publishers wait."""
        return [one.waiting.answer for one in self.cargo.publications]

    @property
    def ids(self) -> list[str]:
        """Under which its messages are looked up."""
        return [stored_id(one.message) for one in self.cargo.appends]


def fail(answer: "asyncio.Future[None]", error: MailboxError) -> None:
    """Tell who waits for an append that it failed, if nobody did yet."""
    if not answer.done():
        answer.set_exception(error)
        answer.exception()  # seen, should its publisher have gone away
