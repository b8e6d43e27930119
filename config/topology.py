"""The exchanges and queues as ``queues.yaml`` declares them, typed and checked.

What is refused at start cannot lose a message later: a binding to an exchange that is not there, a dead-letter
exchange that leads nowhere, a dead-letter queue that is partitioned unlike its source.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kernel.errors import SpazaError

DECLARED = Path(__file__).with_name("queues.yaml")
SHARDS = 32


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
    """Where publishers send to. ``topic`` matches patterns, ``direct`` the whole key, ``fanout`` asks for none."""

    type: Literal["topic", "direct", "fanout"]


class Binding(_Declared):
    exchange: str
    routing_key: str = ""


class Queue(_Declared):
    """One queue.

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
        prefetch: messages in flight at most, with the consumers of one actor's partitions; a batch shrinks to it.
        batches_in_flight: calls to the consumer that may be under way at once. 1 for a consumer that handles one call
            after the other, where the leases of the next would run while they wait.
        linger_ms: least time between two calls that are not full.
        patience_ms: how long a call may be under way before another that is not full begins beside it.
        settle_linger_ms: how long a settlement waits for others to share its commit. A crash delivers again what was
            not settled yet, so the consumer has to know it again.
        lease_s: time that the consumer has for each message of a batch, unless it extends the lease
            (``actors/mailbox/heartbeat.py``); then the message is delivered again.
        window: messages of one partition held in memory at most; the rest stays in the journal until its turn.
    """

    name: str
    bindings: tuple[Binding, ...] = Field(min_length=1)
    dlx: str | None = None
    ttl_ms: int | None = Field(default=None, ge=1)
    max_retries: int | None = Field(default=None, ge=0)
    priority: bool = False
    priority_step_s: float = Field(default=10.0, gt=0)
    weights: Mapping[str, Annotated[int, Field(ge=1, le=100)]] = Field(default_factory=dict)
    delivery_limit: int = Field(default=20, ge=1)
    partition_by: Literal["key", "shard"] = "key"
    partitions: int = Field(default=1, ge=1, le=1024)
    partitions_per_actor: int = Field(default=1, ge=1)
    batch: int = Field(default=256, ge=1, le=4096)
    prefetch: int = Field(default=1024, ge=1)
    batches_in_flight: int = Field(default=4, ge=1, le=64)
    linger_ms: int = Field(default=75, ge=0, le=1000)
    patience_ms: int = Field(default=250, ge=0, le=10_000)
    settle_linger_ms: int = Field(default=30, ge=0, le=1000)
    lease_s: float = Field(default=30.0, gt=0)
    window: int = Field(default=50_000, ge=1)

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
        return next((name for name in self._bound(dlx, queue)), None)

    def sources(self) -> tuple[Queue, ...]:
        """The queues that have actors of their own: all but the dead-letter queues, which live with their source."""
        dead = {self.dead_letter_queue(name) for name in self.queues}
        return tuple(queue for name, queue in self.queues.items() if name not in dead)

    def _bound(self, exchange: str, routing_key: str) -> list[str]:
        kind = self.exchanges[exchange].type
        return [
            name
            for name, queue in self.queues.items()
            for binding in queue.bindings
            if binding.exchange == exchange and (kind == "fanout" or binding.routing_key == routing_key)
        ]

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
        faults = [fault for queue in self.queues.values() for fault in self._faults(queue)]
        if faults:
            raise TopologyError(tuple(faults))
        return self

    def _faults(self, queue: Queue) -> list[str]:
        faults = [
            f"queue {queue.name}: bound to exchange {binding.exchange}, which is not declared"
            for binding in queue.bindings
            if binding.exchange not in self.exchanges
        ]
        if queue.partition_by == "shard" and queue.partitions != SHARDS:
            faults.append(f"queue {queue.name}: partitioned by shard needs {SHARDS} partitions, not {queue.partitions}")
        if queue.dlx is None:
            return faults
        if queue.dlx not in self.exchanges:
            return [*faults, f"queue {queue.name}: its dlx {queue.dlx} is not declared"]
        if self.exchanges[queue.dlx].type == "topic":
            return [*faults, f"queue {queue.name}: its dlx {queue.dlx} must be direct or fanout"]
        return faults + self._dead_letter_faults(queue, queue.dlx)

    def _dead_letter_faults(self, queue: Queue, dlx: str) -> list[str]:
        bound = self._bound(dlx, queue.name)
        if len(bound) != 1:
            found = ", ".join(bound) if bound else "none"
            return [f"queue {queue.name}: its dlx {dlx} must lead to one queue under its name, but leads to {found}"]
        dead = self.queues[bound[0]]
        if dead.name == queue.name:
            return [f"queue {queue.name}: is its own dead-letter queue"]
        if dead.dlx is not None:
            return [f"queue {dead.name}: a dead-letter queue has no dlx of its own"]
        alike = (queue.partition_by, queue.partitions, queue.partitions_per_actor)
        if (dead.partition_by, dead.partitions, dead.partitions_per_actor) != alike:
            return [f"queue {dead.name}: must be partitioned like {queue.name}, whose dead letters it takes"]
        return []


def load_topology(path: Path = DECLARED) -> Topology:
    """Read and check the declaration.

    Raises:
        TopologyError: with one line for each fault.
    """
    try:
        return Topology.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        faults = (f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
        raise TopologyError(tuple(f"{path.name}: {fault}" for fault in faults)) from None
