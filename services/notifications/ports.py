"""What the notifier stands on, as far as it uses it. Handles and clients fit as they are."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from actors.shards.unit import UnitCall, UnitOutcome
from cache.marks import MarksRead
from integrations.whatsapp.schemas import SentMessage
from services.tenants.tenant import Tenant


class Sender(Protocol):
    """The Graph API."""

    async def send(self, phone_number_id: str, access_token: str, payload: Mapping[str, Any]) -> SentMessage:
        """Send one message; raises ``WhatsAppError``."""


class Shards(Protocol):
    """Runs units of work."""

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        """An outcome for each call, in order; raises for none of them."""


class Tenants(Protocol):
    """The directory."""

    async def by_phones(self, phone_number_ids: Collection[str]) -> Mapping[str, Tenant | None]:
        """Raises ``DirectoryUnavailableError`` with what could be found."""


class Unsealer(Protocol):
    """Opens sealed secrets."""

    def unseal(self, sealed: str, context: str) -> str:
        """Raises ``UnsealError``."""


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
