"""What the notifier stands on, as far as it uses it. Handles and clients fit as they are."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cache.marks import MarksRead
from integrations.whatsapp.schemas import SentMessage


class Sender(Protocol):
    """The Graph API."""

    async def send(
        self, phone_number_id: str, access_token: str, payload: Mapping[str, Any], *, correlation_id: str = ""
    ) -> SentMessage:
        """Send one message; raises ``WhatsAppError``."""


class Unsealer(Protocol):
    """Opens sealed secrets."""

    def unseal(self, sealed: str, context: str) -> str:
        """Raises ``UnsealError``."""


class StatusInflow(Protocol):
    """The way on which statuses come in."""

    async def since(self) -> float | None:
        """Unix seconds from which on one could have come in; None while none could."""


class MarkStore(Protocol):
    """Marks of sends."""

    async def mark(self, ids: Sequence[str], now_ms: int, replaces: Mapping[str, int] = ...) -> frozenset[str] | None:
        """Those that are marked now, and by nobody else; None while Redis is away."""

    async def read(self, ids: Sequence[str], now_ms: int) -> MarksRead | None:
        """What is marked; None while it cannot be said."""

    async def clear(self, ids: Sequence[str]) -> None:
        """Take marks back."""

    async def remember_sent(self, wamids: Mapping[str, str]) -> bool:
        """Keep wamids that the shard could not be told of."""
