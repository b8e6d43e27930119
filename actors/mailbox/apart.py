"""Where what came together cannot all be taken, each publisher's messages are taken or refused by themselves.

And where there is no room for all that one publisher has, those of each tenant.
"""

import asyncio
from collections.abc import Sequence

from actors.mailbox.capacity import Capacity
from actors.mailbox.errors import MailboxError, QueueFullError
from actors.mailbox.limits import check_arrived
from actors.mailbox.message import Message
from actors.mailbox.writer import Writer


async def append_each(
    writer: Writer, capacity: Capacity, messages: Sequence[Message], counts: Sequence[int], error: MailboxError
) -> list[MailboxError | None]:
    """Append as much as can be taken, in order.

    Args:
        writer: of the partition.
        capacity: of its actor, which the writer asks as well.
        messages: of several publishers, or of one.
        counts: how many each of them has; none or one for one.
        error: that they had together.

    Returns:
        The error of each publisher, or None where its messages are committed. Where it is ``QueueFullError``, those
        of tenants that are not named there are.

    Raises:
        MailboxError: that of the only publisher.
    """
    if isinstance(error, QueueFullError):
        capacity.refused -= len(messages)  # they are counted below
    elif len(counts) < 2:
        raise error
    results = await _append_each(writer, capacity, messages, counts or [len(messages)])
    if len(results) == 1 and results[0] is not None:
        raise results[0]
    return results


async def _append_each(
    writer: Writer, capacity: Capacity, messages: Sequence[Message], counts: Sequence[int]
) -> list[MailboxError | None]:
    results: list[MailboxError | None] = [None] * len(counts)
    begun: dict[int, asyncio.Future[None]] = {}
    start = 0
    for place, count in enumerate(counts):
        try:
            its = messages[start : start + count]
            check_arrived(its)
            fitting, results[place] = capacity.fitting(its)
            if fitting:
                begun[place] = writer.append(fitting)
        except MailboxError as error:
            results[place] = error
        start += count
    for place, committed in begun.items():
        try:
            await committed
        except MailboxError as error:
            results[place] = error
    return results
