"""What travels through a mailbox: the message, its delivery to a consumer, and what the consumer says of it.

All are immutable records that pickle as plain tuples, for they cross processes by the batch.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self, TypeAlias

from kernel.identifiers import new_id

# JSON, as nested as the headers of a dead letter are. Nobody changes it in place.
HeaderValue: TypeAlias = "str | int | Sequence[HeaderValue] | Mapping[str, HeaderValue]"


# A header, whatever its value: the message goes after those of other tenants that have it not.
YIELDS = "x-yields"
# A header: the id of the message in whose handling this one was published.
CAUSATION_ID = "causation_id"


class Message(NamedTuple):
    """One message as its publisher made it.

    Attributes:
        id: idempotency id; publishing the same id again has no effect.
        key: messages of one key are delivered in the order of arrival, one after the other. Keys are one space over
            all tenants: who wants no tenant to wait for another begins them with the tenant.
        tenant: turns are shared fairly among the values of this field: the tenant's id or, before the tenant is
            known, the phone_number_id that received the message.
        body: opaque bytes.
        headers: small facts for routing and tracing, such as ``correlation_id`` and ``causation_id``. ``x-exchange``
            and ``x-routing-key`` say where it was published; publishing writes them. ``x-yields`` lets others go first.
        published_at: Unix seconds, given once by the publisher and kept through its retries.
        priority: 0 to 9, 9 first.
        ttl_ms: how long it may wait; None means as long as its queue allows.
    """

    id: str
    key: str
    tenant: str
    body: bytes
    headers: Mapping[str, HeaderValue]
    published_at: float
    priority: int = 0
    ttl_ms: int | None = None

    @classmethod
    def new(cls, body: bytes, *, key: str, tenant: str = "", ttl_ms: int | None = None) -> Self:
        """A message of now with an id of its own."""
        return cls(new_id(), key, tenant, body, {}, time.time(), ttl_ms=ttl_ms)


class Delivery(NamedTuple):
    """One message in the hands of a consumer, under a lease.

    Attributes:
        tag: names this delivery; a settlement under an old tag is refused.
        attempt: 1 for the first delivery by this owner.
        redelivered: whether an earlier delivery may have had effects, by this owner or one before it.
        retries: how often it was rejected before and tried again; unlike ``attempt`` it counts nothing else, and a
            new owner knows it.
    """

    message: Message
    queue: str
    partition: int
    seq: int
    tag: int
    attempt: int
    redelivered: bool
    retries: int = 0


class Outcome(NamedTuple):
    """What a consumer says of one delivery. Made by ``ack``, ``retry_after``, ``reject`` and ``dead_letter``."""

    kind: Literal["ack", "retry_after", "reject"]
    delay_s: float = 0.0
    reason: str = ""
    final: bool = False

    @property
    def comes_again(self) -> bool:
        """Whether there is to be another try; after a rejection only while the queue allows it."""
        return self.kind == "retry_after" or (self.kind == "reject" and not self.final)


def ack() -> Outcome:
    """The effects are durable; forget the message."""
    return _ACK


def retry_after(delay_s: float, reason: str) -> Outcome:
    """Not now: deliver it again after so many seconds. Does not count as a failed try."""
    return Outcome("retry_after", delay_s, reason)


def reject(reason: str, delay_s: float = 0.0) -> Outcome:
    """It could not be handled: a failed try where the queue allows retries, else it goes to the dead-letter queue.

    Args:
        reason: for the operator.
        delay_s: before the next try at least; the queue's own pause, which grows with each rejection, may be longer.
    """
    return Outcome("reject", delay_s, reason)


def dead_letter(reason: str) -> Outcome:
    """No other try would end otherwise: it goes to the dead-letter queue, whatever tries the queue allows."""
    return Outcome("reject", 0.0, reason, final=True)


_ACK = Outcome("ack")


class Publication(NamedTuple):
    """What a unit of work publishes with its change.

    Attributes:
        messages: with ids given by the unit; an id that is there already has no effect.
        statement: ``WITH`` and its parts, to be run as one with the publishing; it runs without messages too.
        arguments: of that statement.
    """

    exchange: str
    routing_key: str
    messages: Sequence[Message]
    statement: str = ""
    arguments: Sequence[Any] = ()


class PublishedRow(NamedTuple):
    """A message that a unit of work wrote into its shard's journal, for telling the partition's owner of it."""

    queue: str
    partition: int
    seq: int
    message: Message
