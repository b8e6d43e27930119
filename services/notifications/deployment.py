"""The Serve class of the notifier. Plain: ``wiring`` makes a deployment of it."""

import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from actors.mailbox.message import Delivery, Outcome
from services.notifications.service import NotificationService

# As the processor: acknowledging goes first where processors are short.
NOTIFIER_NICENESS = 10


class BuiltNotifier(NamedTuple):
    """A notifier, and how to close what it stands on."""

    service: NotificationService
    aclose: Callable[[], Awaitable[None]]


class Notifier:
    """Consumes ``notifications.whatsapp``. After a crash, what may have been sent is not sent again before its time."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, build: Callable[[], BuiltNotifier], niceness: int = NOTIFIER_NICENESS
    ) -> None:
        """Build the service in the replica's own process, and let others go first on the CPU."""
        os.nice(niceness)
        self._built = build()
        await self._built.service.start()

    async def ping(self) -> None:
        """Answer, for who wants to know by its handle whether batches are taken."""

    async def consume(self, batch: list[Delivery]) -> list[Outcome]:
        """An outcome for each delivery, in order."""
        return await self._built.service.consume(batch)

    async def __del__(self) -> None:
        """Close connections; Serve awaits this when a replica ends."""
        await self._built.aclose()
