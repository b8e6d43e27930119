"""What the webhook and the processor stand on, as far as they use it. Handles and clients fit as they are."""

from collections.abc import Callable, Sequence
from typing import Protocol

from actors.mailbox.message import Message, PublishedRow
from actors.shards.unit import UnitCall, UnitOutcome
from cache.claims import Claim


class Publisher(Protocol):
    """The mailboxes, for who publishes."""

    async def publish(self, exchange: str, routing_key: str, messages: Sequence[Message], *, timeout_s: float) -> None:
        """Return when they are committed."""

    async def dead_letter(self, queue: str, messages: Sequence[Message], reason: str, *, timeout_s: float) -> None:
        """Put them straight into a queue's dead-letter queue; return when they are committed."""


class Teller(Protocol):
    """The mailboxes, for who published with a change."""

    async def tell(self, rows: Sequence[PublishedRow]) -> None:
        """Tell the owners of the rows; what they are not told of they find."""


class Shards(Protocol):
    """Runs units of work."""

    async def run(
        self,
        calls: Sequence[UnitCall],
        *,
        timeout_s: float,
        answered: Callable[[Sequence[UnitOutcome]], None] | None = None,
    ) -> list[UnitOutcome]:
        """An outcome for each call, in order; raises for none of them. ``answered`` gets them as they come."""


class ClaimStore(Protocol):
    """Claims on messages."""

    async def claim(self, ids: Sequence[str], token: str) -> list[Claim]:
        """How each ended, in order."""

    async def finish(self, ids: Sequence[str]) -> None:
        """Remember them as done."""

    async def release(self, ids: Sequence[str], token: str) -> None:
        """Give them back."""
