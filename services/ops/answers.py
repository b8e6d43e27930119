"""What the mailboxes' admin API and the front answer, as it is documented."""

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, RootModel

from actors.mailbox.selection import Which


class QueueShown(BaseModel):
    """A queue's figures; of one that does not answer, its state alone.

    Attributes:
        oldest_age_s: of the oldest message that waits; null where none does.
        tenants: messages that wait, of the tenants with the most of them.
        tenants_total: tenants of whom any wait.
        reasons: dead letters by cause and reason.
        missing_partitions: that could not be counted.
    """

    queue: str
    state: str
    paused: bool | None = None
    consumer_up: bool | None = None
    waiting: int | None = None
    in_flight: int | None = None
    oldest_age_s: float | None = None
    in_per_s: float | None = None
    out_per_s: float | None = None
    dead_letters: int | None = None
    counted: bool | None = None
    tenants: dict[str, int] | None = None
    tenants_total: int | None = None
    reasons: dict[str, int] | None = None
    missing_partitions: list[int] | None = None


class QueuesShown(BaseModel):
    """All queues."""

    queues: list[QueueShown]


class MessageShown(BaseModel):
    """A message that waits, or a dead letter; customers' numbers are masked unless asked for otherwise."""

    partition: int
    seq: int
    message_id: str
    tenant: str
    key: str
    priority: int
    published_at: datetime
    age_s: float
    ttl_ms: int | None
    headers: dict[str, Any]
    size_bytes: int
    retries: int
    lost_deliveries: int
    not_before: datetime | None
    cause: str | None = None
    reason: str | None = None
    body: str | None = None


class MessagesShown(BaseModel):
    """Messages in their order; ``next`` is where to go on, null after the last."""

    queue: str
    which: Which
    messages: list[MessageShown]
    next: str | None


class QueuePaused(BaseModel):
    """Whether a queue's deliveries are held now."""

    queue: str
    paused: bool
    action_id: str


class MessagesChanged(BaseModel):
    """What was meant, and unless it was a dry run, what was done.

    Attributes:
        selected: messages that are meant.
        may_reach_a_customer_twice: of those.
        held_back: messages that only ``force`` would put back.
        left_corrupt: messages that are damaged, and are put back where ``reason`` names that alone, if at all.
        complete: whether nothing that is meant is left.
        began: of a redrive, to be given when it is gone on with.
    """

    queue: str
    which: Which
    action: Literal["redrive", "purge"]
    dry_run: bool
    selected: int
    by_reason: dict[str, int]
    by_tenant: dict[str, int]
    may_reach_a_customer_twice: int
    held_back: int
    missing_partitions: dict[str, str]
    messages: int | None = None
    ids: list[str] | None = None
    left_in_flight: int | None = None
    left_corrupt: int | None = None
    left_worn_out: int | None = None
    complete: bool | None = None
    trouble: str | None = None
    action_id: str | None = None
    began: datetime | None = None


class ActionShown(BaseModel):
    """What an operator did."""

    action_id: str
    began_at: datetime
    ended_at: datetime | None
    operator: str
    peer: str
    action: str
    queue: str
    request: dict[str, Any]
    outcome: dict[str, Any] | None


class ActionsShown(BaseModel):
    """Actions, the latest first."""

    actions: list[ActionShown]


class TrailEvent(BaseModel):
    """One thing that happened to a message; what else is told depends on what it was."""

    model_config = ConfigDict(extra="allow")

    at: datetime | None
    event: str


class Trail(BaseModel):
    """A message's way."""

    message_id: str
    state: str
    tenant: str
    key: str
    size_bytes: int
    correlation_id: str | None
    order_id: str | None
    events: list[TrailEvent]


class Traced(BaseModel):
    """The messages that were asked about, and those that they caused.

    Attributes:
        complete: whether all shards answered.
    """

    messages: list[Trail]
    caused: list[Trail]
    missing_shards: list[int]
    complete: bool


class Welcome(BaseModel):
    """A word to newcomers."""

    message: str
    paths: list[str]
    read: str


class Alive(BaseModel):
    """This process answers."""

    status: Literal["ok"]


class Ready(BaseModel):
    """Whether the parts behind can do their work: for each ``ok``, or what is wrong."""

    ready: bool
    parts: dict[str, str]


class Page(RootModel[str]):
    """This document, for reading."""

    media_type: ClassVar[str] = "text/html"


class Document(BaseModel):
    """This document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
