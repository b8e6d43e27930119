"""Settlements in the writer, whatever is asked of it."""

import time
from collections.abc import Sequence

from actors.mailbox.errors import MailboxError
from actors.mailbox.flight import WriterLimits
from actors.mailbox.journal import Append, Settlement, Written
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.message import Message
from actors.mailbox.writer import Writer
from tests.unit.actors.mailbox.test_partition import until


class Owner:
    """Implements ``WriterOwner``; notes the tenants whose messages were settled."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def stamp(self, messages: Sequence[Message]) -> list[Append]:
        return [Append(message, seq, 0.0) for seq, message in enumerate(messages, 1)]

    def floor(self) -> int:
        return 1

    def written(self, appends: Sequence[Append], written: Written, *, takes: bool) -> None:
        return None

    def failed(self, error: MailboxError, doubtful_ids: Sequence[str]) -> None:
        raise error

    def broken(self, fault: Exception) -> None:
        raise fault

    def admit(self, messages: Sequence[Message]) -> None:
        return None

    def dropped(self, messages: Sequence[Message]) -> None:
        return None

    def settled(self, tenants: Sequence[str]) -> None:
        self.ended += tenants


async def test_a_message_that_is_settled_twice_in_one_flush_is_settled_once_and_the_writer_goes_on() -> None:
    database, owner = MemoryDatabase(), Owner()
    journal = InMemoryJournal(database)
    lease = await journal.take_over("a", 5.0, -1)
    assert lease is not None
    writer = Writer("q", journal, owner, WriterLimits(linger_s=0.001), time.monotonic)
    writer.resume(lease.epoch)

    for cause in ("acknowledged", "expired"):
        writer.settle(Settlement(1, 0, cause, "", 1), "t1", None)
    await until(lambda: not writer.settling)
    writer.settle(Settlement(2, 0, "acknowledged", "", 1), "t2", None)
    await until(lambda: not writer.settling)
    await writer.aclose()

    assert {seq: one.cause for seq, one in database.settled.items()} == {1: "acknowledged", 2: "acknowledged"}
    assert owner.ended == ["t1", "t2"]
