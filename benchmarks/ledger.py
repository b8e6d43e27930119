"""Who was answered: every accepted message once, none twice, nobody else. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from benchmarks.merchants import MERCHANTS, customer, merchant


class Reply(NamedTuple):
    """One message that the Graph API stand-in was given."""

    phone_number_id: str
    to: str
    monotonic_s: float


class Verdict(NamedTuple):
    """What is wrong with the replies; all zero when all is well.

    Attributes:
        refused: messages that were not answered 200.
        unanswered: messages that were answered 200 and got no reply.
        doubled: replies beyond the first to one message.
        strange: replies to nobody who wrote, or from another merchant's number.
    """

    refused: int = 0
    unanswered: int = 0
    doubled: int = 0
    strange: int = 0


class Ledger:
    """All that was sent to one system, by customer, and with what status it was answered."""

    def __init__(self) -> None:
        self._statuses: dict[tuple[str, str], int] = {}

    def sent(self, first: int, statuses: Iterable[int]) -> None:
        """Note messages with consecutive sequence numbers."""
        for sequence, status in enumerate(statuses, first):
            self._statuses[conversation(sequence)] = status

    def verdict(self, replies: Iterable[Reply]) -> Verdict:
        """Hold all replies that there are against all that was sent."""
        counts = Counter((reply.phone_number_id, reply.to.lstrip("+")) for reply in replies)
        return Verdict(
            refused=sum(status != 200 for status in self._statuses.values()),
            unanswered=sum(status == 200 and counts[key] == 0 for key, status in self._statuses.items()),
            doubled=sum(count - 1 for key, count in counts.items() if key in self._statuses),
            strange=sum(count for key, count in counts.items() if key not in self._statuses),
        )


def conversation(sequence: int) -> tuple[str, str]:
    """The receiving number and the customer of one message: what its reply is known by."""
    return merchant(sequence % MERCHANTS).phone_number_id, customer(sequence)


def reply_latencies_s(first: int, due_s: list[float], replies: Iterable[Reply]) -> list[float]:
    """From when each message was due until its first reply; messages without one are left out."""
    first_reply: dict[tuple[str, str], float] = {}
    for reply in replies:
        key = reply.phone_number_id, reply.to.lstrip("+")
        first_reply[key] = min(reply.monotonic_s, first_reply.get(key, reply.monotonic_s))
    return _latencies(first, due_s, first_reply)


def _latencies(first: int, due_s: list[float], first_reply: Mapping[tuple[str, str], float]) -> list[float]:
    answered = ((due, first_reply.get(conversation(sequence))) for sequence, due in enumerate(due_s, first))
    return [at - due for due, at in answered if at is not None]
