"""The exchanges and queues as ``queues.yaml`` declares them, typed and checked.

What is refused at start cannot lose a message later: a binding to an exchange that is not there, a dead-letter
exchange that leads nowhere, a dead-letter queue that is partitioned unlike its source (``topology_rules``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from config import topology_rules
from kernel.errors import SpazaError

DECLARED = Path(__file__).with_name("queues.yaml")
_DAY_S, _YEAR_S = 86_400, 31_536_000
# Beyond that nothing is meant by a number.
_MANY, _MOST = 1_000_000, 1_000_000_000_000


class TopologyError(SpazaError):
    """A declaration that cannot be used: one line for each fault."""

    code = "topology"

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Exchange(_Declared):
    """Where publishers send to.

    Attributes:
        type: ``topic`` matches patterns, ``direct`` the whole key, ``fanout`` asks for none.
        unroutable: what becomes of a message that no queue takes: ``error`` tells the publisher, the name of a queue
            puts it into that queue's dead-letter queue.
    """

    type: Literal["topic", "direct", "fanout"]
    unroutable: str = topology_rules.ERROR


class Binding(_Declared):
    exchange: str
    routing_key: str = ""


class Queue(_Declared):
    """One queue.

    A tenant's single message waits for the calls that are under way when it comes, and for its own: as long as the
    consumer takes for up to ``prefetch`` messages. So for a consumer that needs milliseconds a message ``batch``,
    ``prefetch`` and ``batches_in_flight`` are to be set low enough.

    Attributes:
        name: as declared.
        dlx: the exchange to which its dead letters go, under its own name as routing key.
        ttl_ms: how long a message may wait while it could be delivered; None for as long as it takes.
        max_retries: tries after a first one that was rejected, or at which the consumer raised; None dead-letters on
            the first rejection, and counts what the consumer raised as a lost delivery.
        priority: whether a tenant's messages of higher priority go before its others, and take their key along.
        priority_step_s: who came so much earlier counts as one priority higher, so that none waits for ever.
        weights: how many turns a tenant has where the others have one, by its label; 1 for who is missing here.
        delivery_limit: deliveries that may be lost, with their consumer or by their lease, before the message is
            dead-lettered.
        partition_by: what decides the partition, see ``queues.yaml``.
        partitions_per_actor: how many partitions one actor owns.
        batch: messages of one call to the consumer at most.
        key_run: messages of one key that a batch carries at most, in order, where there is room for them. More than 1
            only for a consumer that lets the later ones come again where an earlier one does (``services/ledger.py``).
        prefetch: messages in flight at most, with the consumers of one actor's partitions; a batch shrinks to it.
        batches_in_flight: calls to the consumer that may be under way at once. 1 for a consumer that handles one call
            after the other, where the leases of the next would run while they wait.
        linger_ms: least time between two calls that are not full, unless messages wait behind others of their key; for
            a consumer to which a call costs much. 0 hands over at once what can be: what comes while a call is under
            way goes together anyway.
        busy_per_s: a rate from which on calls that are not full keep ``busy_linger_ms`` apart, for a consumer to which
            a message costs the less the more of its tenant come with it; None for never.
        busy_linger_ms: see there.
        patience_ms: how long a call may be under way before another that is not full begins beside it.
        settle_linger_ms: how long a settlement waits for others to share its commit. A crash delivers again what was
            not settled yet, so the consumer has to know it again.
        lease_s: time that the consumer has for each message of a batch, unless it extends the lease
            (``actors/mailbox/heartbeat.py``); then the message is delivered again.
        window: messages that one actor holds in memory; the rest stays in the journal until its turn. One partition may
            fill it; each has an even share of it all the same, so that for a while it may be twice as many.
        window_bytes: the same for what they take in memory: their bodies, and 1,100 bytes and more for each.
        max_length: messages that may wait in the whole queue, those in flight included; more are refused. Each of its
            actors has its part of it, at least one.
        tenant_share: part of ``max_length`` that one tenant may fill, at least one message at each of its actors. What
            belongs to no tenant is not bound by it.
    """

    name: str
    bindings: tuple[Binding, ...] = Field(min_length=1)
    dlx: str | None = None
    ttl_ms: int | None = Field(default=None, strict=True, ge=1, le=_YEAR_S * 1000)
    max_retries: int | None = Field(default=None, strict=True, ge=0, le=_MANY)
    priority: bool = Field(default=False, strict=True)
    priority_step_s: float = Field(default=10.0, strict=True, allow_inf_nan=False, ge=0.001, le=_YEAR_S)
    weights: Mapping[str, Annotated[int, Field(strict=True, ge=1, le=100)]] = Field(default_factory=dict)
    delivery_limit: int = Field(default=20, strict=True, ge=1, le=_MANY)
    partition_by: Literal["key", "shard"] = "key"
    partitions: int = Field(default=1, strict=True, ge=1, le=1024)
    partitions_per_actor: int = Field(default=1, strict=True, ge=1, le=1024)
    batch: int = Field(default=256, strict=True, ge=1, le=4096)
    key_run: int = Field(default=1, strict=True, ge=1, le=4096)
    prefetch: int = Field(default=1024, strict=True, ge=1, le=_MANY)
    batches_in_flight: int = Field(default=4, strict=True, ge=1, le=64)
    linger_ms: int = Field(default=0, strict=True, ge=0, le=1000)
    busy_per_s: int | None = Field(default=None, strict=True, ge=1, le=_MANY)
    busy_linger_ms: int = Field(default=250, strict=True, ge=0, le=1000)
    patience_ms: int = Field(default=250, strict=True, ge=0, le=10_000)
    settle_linger_ms: int = Field(default=30, strict=True, ge=0, le=1000)
    lease_s: float = Field(default=30.0, strict=True, allow_inf_nan=False, ge=0.05, le=_DAY_S)
    window: int = Field(default=50_000, strict=True, ge=1, le=_MOST)
    window_bytes: int = Field(default=48_000_000, strict=True, ge=1, le=_MOST)
    max_length: int = Field(default=1_000_000, strict=True, ge=1, le=_MOST)
    tenant_share: float = Field(default=0.5, strict=True, allow_inf_nan=False, gt=0, le=1)

    @property
    def groups(self) -> int:
        """How many actors own the queue's partitions."""
        return -(-self.partitions // self.partitions_per_actor)

    def group_of(self, partition: int) -> int:
        """Which of the queue's actors owns a partition."""
        return partition // self.partitions_per_actor

    def partitions_of(self, group: int) -> range:
        """The partitions of one of the queue's actors."""
        first = group * self.partitions_per_actor
        return range(first, min(first + self.partitions_per_actor, self.partitions))


class Topology(_Declared):
    """All exchanges and queues. Frozen; pickles, and so goes to every actor as it is."""

    exchanges: Mapping[str, Exchange]
    queues: Mapping[str, Queue]

    def dead_letter_queue(self, queue: str) -> str | None:
        """The queue that takes the dead letters of another, or None where they are only recorded."""
        dlx = self.queues[queue].dlx
        if dlx is None:
            return None
        return next(iter(topology_rules.bound_to(dlx, queue, self.exchanges, self.queues)), None)

    def sources(self) -> tuple[Queue, ...]:
        """The queues that have actors of their own: all but the dead-letter queues, which live with their source."""
        dead = {self.dead_letter_queue(name) for name in self.queues}
        return tuple(queue for name, queue in self.queues.items() if name not in dead)

    @model_validator(mode="before")
    @classmethod
    def _names_into_queues(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and isinstance(given.get("queues"), Mapping):
            named = {
                name: {"name": name, **queue} if isinstance(queue, Mapping) else queue
                for name, queue in given["queues"].items()
            }
            return {**given, "queues": named}
        return given

    @model_validator(mode="after")
    def _whole(self) -> Self:
        faults = topology_rules.faults_of(self.exchanges, self.queues)
        if faults:
            raise TopologyError(tuple(f"{'.'.join(map(str, fault.path))}: {fault.text}" for fault in faults))
        return self
