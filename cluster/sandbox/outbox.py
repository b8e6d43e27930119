"""What was sent to whom, as a customer's phone would show it: the accepted messages and what became of each."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import orjson


class StatusAt(NamedTuple):
    """One status that was reported of a message."""

    status: str
    at: float


@dataclass(slots=True)
class Sent:
    """One accepted message.

    Attributes:
        to: the customer's digits, or the BSUID where the message was sent to one.
        accepted_at: Unix seconds.
        payload: the request's body as it came.
        statuses: in the order in which they were reported; twice where it was reported twice.
    """

    wamid: str
    phone_number_id: str
    to: str
    accepted_at: float
    payload: bytes
    biz_opaque_callback_data: str | None
    statuses: list[StatusAt] = field(default_factory=list)

    def shown(self) -> dict[str, object]:
        """As the control API gives it."""
        return {
            "wamid": self.wamid,
            "phone_number_id": self.phone_number_id,
            "to": self.to,
            "accepted_at": rfc3339(self.accepted_at),
            "payload": orjson.Fragment(self.payload),
            "biz_opaque_callback_data": self.biz_opaque_callback_data,
            "statuses": [{"status": one.status, "at": rfc3339(one.at)} for one in self.statuses],
        }


def rfc3339(at: float) -> str:
    """A time as the API writes it, in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Outbox:
    """The last sent messages, numbered from 1; the oldest go when there are too many or their payloads too large."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._by_number: dict[int, Sent] = {}
        self._by_wamid: dict[str, Sent] = {}
        self._first, self._last, self._bytes = 1, 0, 0

    def add(self, sent: Sent) -> None:
        """Remember one more."""
        self._last += 1
        self._by_number[self._last] = sent
        self._by_wamid[sent.wamid] = sent
        self._bytes += len(sent.payload)
        while len(self._by_number) > self._max_messages or self._bytes > self._max_bytes:
            self._forget_oldest()

    def reported(self, wamid: str, status: str, at: float) -> None:
        """Remember that a status was reported; of a message that is forgotten, nothing."""
        sent = self._by_wamid.get(wamid)
        if sent is not None:
            sent.statuses.append(StatusAt(status, at))

    def page(
        self, *, phone_number_id: str | None = None, to: str | None = None, after: int = 0, limit: int = 100
    ) -> tuple[list[Sent], int]:
        """Messages in the order of acceptance.

        Args:
            phone_number_id: of one business number alone.
            to: to one customer alone, by digits or BSUID.
            after: the ``next`` of the page before; 0 begins with the oldest.
            limit: messages at most.

        Returns:
            the messages that match, and where the next page begins.
        """
        found: list[Sent] = []
        # A number of an earlier run of the sandbox may lie beyond the end.
        position = min(max(after, self._first - 1), self._last)
        while position < self._last and len(found) < limit:
            position += 1
            sent = self._by_number[position]
            if (phone_number_id is None or sent.phone_number_id == phone_number_id) and (to is None or sent.to == to):
                found.append(sent)
        return found, position

    def latest(self) -> Iterator[Sent]:
        """From the newest to the oldest."""
        for position in range(self._last, self._first - 1, -1):
            yield self._by_number[position]

    def clear(self) -> int:
        """Forget all; the numbers go on. Returns how many there were."""
        count = len(self._by_number)
        self._by_number.clear()
        self._by_wamid.clear()
        self._first, self._bytes = self._last + 1, 0
        return count

    def __len__(self) -> int:
        return len(self._by_number)

    def _forget_oldest(self) -> None:
        sent = self._by_number.pop(self._first)
        self._first += 1
        self._bytes -= len(sent.payload)
        del self._by_wamid[sent.wamid]
