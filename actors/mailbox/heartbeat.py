"""Keeps the leases of deliveries alive while a consumer works on them.

    async def consume(self, batch):
        async with Heartbeat(self.mailboxes, batch, lease_s=30) as heartbeat:
            for delivery in batch:
                if heartbeat.holds(delivery):
                    await self.cook(delivery)
        return [ack() for _ in batch]

What is not held any more is delivered again, to another consumer perhaps; the answer for it is refused.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from actors.mailbox.errors import MailboxError
from actors.mailbox.message import Delivery
from telemetry.log import get_logger

_BEATS = 3  # in a lease, so that two of them may fail
_log = get_logger("mailbox")


class LeaseExtender(Protocol):
    """``MailboxHandle``, as far as a heartbeat needs it."""

    async def extend(self, deliveries: Sequence[Delivery], lease_s: float) -> list[Delivery]:
        """Those that are still held; raises ``MailboxError`` where that is not known."""


class Heartbeat:
    """Extends leases from when it is entered until it is left. The first beat goes before the work begins.

    Args:
        mailboxes: where the deliveries came from.
        deliveries: to hold.
        lease_s: for how long each beat extends them; the first one may take what is left of the queue's own lease.
    """

    def __init__(self, mailboxes: LeaseExtender, deliveries: Sequence[Delivery], lease_s: float) -> None:
        self._mailboxes, self._lease_s = mailboxes, lease_s
        self._held = {_name(delivery): delivery for delivery in deliveries}
        self._beating: asyncio.Task[None] | None = None

    def holds(self, delivery: Delivery) -> bool:
        """Whether a delivery was held at the last beat that came through."""
        return _name(delivery) in self._held

    def done(self, delivery: Delivery) -> None:
        """Extend it no more."""
        self._held.pop(_name(delivery), None)

    async def __aenter__(self) -> Self:
        await self._beat()
        self._beating = asyncio.get_running_loop().create_task(self._beat_on())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._beating is not None
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)

    async def _beat_on(self) -> None:
        while self._held:
            await asyncio.sleep(self._lease_s / _BEATS)
            await self._beat()

    async def _beat(self) -> None:
        asked = dict(self._held)
        try:
            held = await self._mailboxes.extend(list(asked.values()), self._lease_s)
        except MailboxError as error:  # the next beat may come through before the leases have run out
            _log.warning("heartbeat_failed", deliveries=len(asked), error=str(error))
            return
        for name in asked.keys() - {_name(delivery) for delivery in held}:
            self._held.pop(name, None)


def _name(delivery: Delivery) -> tuple[str, int, int]:
    return delivery.queue, delivery.partition, delivery.tag
