"""What a partition's writer holds: appends that wait for a commit, and commits under way."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from actors.mailbox.errors import MailboxError
from actors.mailbox.journal import Append, Batch, Settlement, Written
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
        """A flush is committed; ``takes`` is False where its messages are looked up, as those in doubt are."""

    def failed(self, error: MailboxError, doubtful_ids: Sequence[str]) -> None:
        """A flush of this epoch failed. It is to be suspended."""


class Waiting(NamedTuple):
    """One publisher's messages for the next commit; ``dead`` go to the dead-letter queue, ``letters`` end there."""

    messages: Sequence[Message]
    dead: bool
    size_bytes: int
    answer: "asyncio.Future[None]"
    letters: Sequence[Settlement] = ()


class Flight:
    """One commit under way; ``letters`` are the dead letters of its settlements, one or None for each."""

    __slots__ = ("answers", "batch", "epoch", "floor", "letters", "outcome")

    def __init__(
        self,
        epoch: int,
        floor: int,
        batch: Batch,
        letters: Sequence[Message | None],
        answers: "Sequence[asyncio.Future[None]]",
    ) -> None:
        self.epoch, self.floor, self.batch, self.letters, self.answers = epoch, floor, batch, letters, answers
        self.outcome: Written | None = None

    def forget(self) -> None:
        """Should it fail, nothing of it but its appends is to be thought of again."""
        self.batch = self.batch._replace(settlements=(), retries=())
        self.letters = ()

    @property
    def ids(self) -> list[str]:
        """Under which its messages are looked up."""
        return [stored_id(one.message) for one in self.batch.appends]


def fail(answer: "asyncio.Future[None]", error: MailboxError) -> None:
    """Tell who waits for an append that it failed, if nobody did yet."""
    if not answer.done():
        answer.set_exception(error)
        answer.exception()  # seen, should its publisher have gone away
