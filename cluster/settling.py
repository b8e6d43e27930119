"""The end of deliveries before the end of a node, so that what is being sent is known to have been sent."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from kernel.errors import SpazaError
from telemetry.log import get_logger

_LOOK_S = 0.05
_log = get_logger("node")


class Mailboxes(Protocol):
    """What is asked of a ``MailboxHandle``."""

    async def drain(self, queue: str) -> None:
        """Deliver nothing more."""

    async def stop(self) -> None:
        """Write what is settled, and hand the partitions over."""

    async def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        """Figures by queue, with ``in_flight`` where its owner answers."""


async def settle(mailboxes: Mailboxes, queues: Collection[str], *, limit_s: float) -> int:
    """Deliver nothing more, and wait until the consumers have said what became of what they have.

    The queues go on taking messages. Who starts them again need not let them go on: that they deliver nothing is known
    to their owners' processes alone, which end with the node.

    Args:
        mailboxes: where the queues are.
        queues: their names.
        limit_s: for all of it.

    Returns:
        How many messages were left with the consumers, as far as could be learned; after a restart they are in doubt.
    """
    left = 0
    try:
        async with asyncio.timeout(limit_s):
            await asyncio.gather(*(_drain(mailboxes, queue) for queue in queues))
            while left := _in_flight(await mailboxes.statistics()):  # noqa: ASYNC110 - it happens in other processes
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        _log.warning("deliveries_not_settled", in_flight=left, limit_s=limit_s)
    return left


async def hand_over(mailboxes: Mailboxes, *, limit_s: float) -> bool:
    """Have the owners write what is settled and give their leases back, when nobody publishes any more.

    Then the next owners take over at once, whoever they are, and nothing that was handled is delivered again.

    Returns:
        Whether it was done within ``limit_s``. If not the journal is whole all the same.
    """
    try:
        async with asyncio.timeout(limit_s):
            await mailboxes.stop()
    except TimeoutError:
        _log.warning("mailboxes_not_handed_over", limit_s=limit_s)
        return False
    return True


async def _drain(mailboxes: Mailboxes, queue: str) -> None:
    try:
        await mailboxes.drain(queue)
    except SpazaError as error:
        _log.warning("queue_not_drained", queue=queue, error=str(error))


def _in_flight(figures: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(one.get("in_flight", 0) for one in figures.values())
