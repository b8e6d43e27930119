"""Where there is no room for all that came together, each publisher's messages are taken or refused by themselves."""

import asyncio
from collections.abc import Sequence

from actors.mailbox.errors import MailboxError
from actors.mailbox.limits import check_arrived
from actors.mailbox.message import Message
from actors.mailbox.writer import Writer


async def append_each(writer: Writer, messages: Sequence[Message], counts: Sequence[int]) -> list[MailboxError | None]:
    """Append as much as there is room for, in order.

    Args:
        writer: of the partition.
        messages: of several publishers.
        counts: how many each of them has.

    Returns:
        The error of each publisher, or None where its messages are committed.
    """
    results: list[MailboxError | None] = [None] * len(counts)
    begun: dict[int, asyncio.Future[None]] = {}
    start = 0
    for place, count in enumerate(counts):
        try:
            its = messages[start : start + count]
            check_arrived(its)
            begun[place] = writer.append(its)
        except MailboxError as error:
            results[place] = error
        start += count
    for place, committed in begun.items():
        try:
            await committed
        except MailboxError as error:
            results[place] = error
    return results
