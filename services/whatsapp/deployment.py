"""The Serve classes of WhatsApp. Plain classes: ``wiring`` makes deployments of them."""

import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from actors.mailbox.message import Delivery, Outcome
from gateway.asgi import ASGIApp
from services.whatsapp.processor import InboundProcessor

# Acknowledging goes first where processors are short; measured at 15 %.
PROCESSOR_NICENESS = 10


class WhatsAppWebhook:
    """Takes Meta's webhooks, over HTTP. Any number of replicas; none holds anything that a crash could lose."""

    def __init__(self, build: Callable[[], ASGIApp]) -> None:
        """Build the application in the replica's own process.

        Args:
            build: makes it with its handles, which are of one process.
        """
        self._webhook = build()

    async def ping(self) -> None:
        """Answer, for who wants to know by its handle whether webhooks are taken."""

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """What Serve calls for each request."""
        return self._webhook


class BuiltProcessor(NamedTuple):
    """A processor, and how to close what it stands on."""

    processor: InboundProcessor
    aclose: Callable[[], Awaitable[None]]


class WhatsAppProcessor:
    """Consumes ``whatsapp.inbound``. What a crash interrupts is delivered again, and has one effect."""

    def __init__(self, build: Callable[[], BuiltProcessor], niceness: int = PROCESSOR_NICENESS) -> None:
        """Build the processor in the replica's own process, and let others go first on the CPU."""
        if niceness:
            os.nice(niceness)
        self._built = build()

    async def ping(self) -> None:
        """Answer, for who wants to know by its handle whether batches are taken."""

    async def consume(self, batch: list[Delivery]) -> list[Outcome]:
        """An outcome for each delivery, in order."""
        return await self._built.processor.consume(batch)

    async def __del__(self) -> None:
        """Close connections; Serve awaits this when a replica ends."""
        await self._built.aclose()
