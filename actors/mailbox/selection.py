"""Which messages an operator means, and what is counted of them. Pure."""

from typing import Literal, NamedTuple

from actors.mailbox.message import Message
from actors.mailbox.redriven import AT

Which = Literal["waiting", "dead"]
CAUSE, DETAIL = "x-last-death-reason", "x-death-detail"
# Of what was read and was not what had been written. Nobody knows what it had said.
DAMAGED = ("corrupt", "checksum")


class Selection(NamedTuple):
    """A filter; None does not restrict.

    Attributes:
        reason: of a dead letter: its cause (``rejected``, ``expired`` ...), the consumer's reason, or that up to its
            first colon.
        not_reasons: dead letters with one of these are left out.
        since: published then or later, Unix seconds.
        until: published before.
        ids: of the messages.
        redriven_before: leaves out what was put back then or later, so that a long redrive does not meet again what
            has died anew.
    """

    tenant: str | None = None
    key: str | None = None
    reason: str | None = None
    not_reasons: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    ids: tuple[str, ...] | None = None
    redriven_before: int | None = None


class Peeked(NamedTuple):
    """A message as an operator sees it: with the beginning of its body.

    Attributes:
        size_bytes: of the whole body.
        retries: rejections that were followed by another try.
        lost: deliveries that were lost with their consumer.
        not_before: Unix seconds, 0 for at once.
        day: under which its row stands.
    """

    seq: int
    message: Message
    size_bytes: int
    retries: int
    lost: int
    not_before: float
    day: int


class Tally(NamedTuple):
    """How many messages there are of one tenant and, in the dead-letter queue, of one reason.

    Attributes:
        oldest_at: Unix seconds of the publication of the oldest.
    """

    tenant: str
    cause: str
    detail: str
    messages: int
    oldest_at: float


def death_of(message: Message) -> tuple[str, str]:
    """Why a dead letter died: cause and the consumer's reason."""
    return str(message.headers.get(CAUSE, "")), str(message.headers.get(DETAIL, ""))


def matches(wanted: Selection, message: Message) -> bool:
    """Whether a message is meant."""
    death = _names(message)
    redriven_at = message.headers.get(AT, 0)
    return (
        (wanted.tenant is None or message.tenant == wanted.tenant)
        and (wanted.key is None or message.key == wanted.key)
        and (wanted.reason is None or wanted.reason in death)
        and not death.intersection(wanted.not_reasons)
        and (wanted.since is None or message.published_at >= wanted.since)
        and (wanted.until is None or message.published_at < wanted.until)
        and (wanted.ids is None or message.id in wanted.ids)
        and (wanted.redriven_before is None or (isinstance(redriven_at, int) and redriven_at < wanted.redriven_before))
    )


def is_left(wanted: Selection, death: tuple[str, str]) -> bool:
    """Whether a dead letter is not put back though it is selected: it was damaged, and not asked for as such."""
    return death == DAMAGED and wanted.reason not in DAMAGED


def _names(message: Message) -> set[str]:
    cause, detail = death_of(message)
    return {cause, detail, detail.partition(":")[0]} - {""}
