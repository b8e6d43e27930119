"""The mailbox as a contestant: used as a library, with a publisher and a consumer that are Ray actors."""

import asyncio
import time
from pathlib import Path
from typing import Any

import ray

from actors.mailbox import (
    ActorConsumer,
    Delivery,
    JournalAccess,
    MailboxHandle,
    Message,
    Outcome,
    Topology,
    ack,
    set_up_journal,
    start_mailboxes,
)
from benchmarks.broker.brokers import BODY, KEYS, Load, Published, Turn, publish_all
from cluster.postgres import PostgresServer, start_postgres

_CONSUMER = "bench-consumer"
_STALL_S = 3.0
_OPTIONS = {"namespace": "spaza", "num_cpus": 0}


def topology(queue: str, **fields: Any) -> Topology:
    """One exchange, one queue with what is declared of it by default."""
    bindings = [{"exchange": "bench", "routing_key": queue}]
    return Topology.model_validate(
        {"exchanges": {"bench": {"type": "direct"}}, "queues": {queue: {"bindings": bindings, **fields}}}
    )


class Publisher:
    """The publisher's process."""

    async def publish(self, declared: Topology, queue: str, load: Load) -> Published:
        handle = MailboxHandle(declared)

        async def publish(number: int) -> None:
            message = Message(f"{queue}-{number}", f"k{number % KEYS}", f"t{number % 50}", BODY, {}, time.time())
            await handle.publish("bench", queue, [message], timeout_s=30.0)

        return await publish_all(publish, load)


class EmptyConsumer:
    """Acknowledges, and counts."""

    def __init__(self) -> None:
        self._consumed, self._last = 0, 0.0

    async def consume(self, batch: list[Delivery]) -> list[Outcome]:
        self._consumed += len(batch)
        if batch:
            self._last = time.monotonic()
        return [ack()] * len(batch)

    async def count(self) -> tuple[int, float]:
        return self._consumed, self._last


class MailboxBroker:
    """PostgreSQL as Spaza runs it, a Ray, and for each load a queue of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres: PostgresServer | None = None
        self._number = 0

    def start(self) -> None:
        self._postgres = start_postgres(self._directory / "data", self._directory / "run")
        set_up_journal(self._postgres.database_dsn("shard_00"))
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, namespace="spaza",
            object_store_memory=100_000_000, _temp_dir=str(self._directory / "ray"),
        )  # fmt: skip

    async def run(self, load: Load) -> Turn:
        self._number += 1
        alone, both = f"alone-{load.publishers}-{self._number}", f"both-{load.publishers}-{self._number}"
        published, _ = await self._load(alone, load, consumed=False)
        sent, (consumed, ended) = await self._load(both, load, consumed=True)
        began = sent.began - 1.0
        figures = self._figures
        batches = {
            "messages a commit": figures["published"] / figures["commits"],
            "messages a delivery": figures["delivered"] / max(1, figures["batches"]),
        }
        return Turn(
            "mailbox", load.publishers, published, consumed / (ended - began), sent.all_confirmed, consumed, batches
        )

    def stop(self) -> None:
        ray.shutdown()
        if self._postgres is not None:
            self._postgres.stop()

    async def _load(self, queue: str, load: Load, *, consumed: bool) -> tuple[Published, tuple[int, float]]:
        assert self._postgres is not None
        declared = topology(queue)
        make_consumer: Any = ray.remote(EmptyConsumer)
        consumer = make_consumer.options(name=_CONSUMER, **_OPTIONS).remote()
        access = JournalAccess.to(self._postgres.database_dsn("shard_00"))
        addresses = {queue: ActorConsumer(_CONSUMER)} if consumed else {}
        await asyncio.to_thread(start_mailboxes, declared, access, addresses)
        make_publisher: Any = ray.remote(Publisher)
        publisher = make_publisher.options(**_OPTIONS).remote()
        published: Published = await publisher.publish.remote(declared, queue, load)
        counted: tuple[int, float] = await consumer.count.remote()
        while consumed and counted[0] < published.all_confirmed and time.monotonic() < counted[1] + _STALL_S:
            await asyncio.sleep(0.2)
            counted = await consumer.count.remote()
        handle = MailboxHandle(declared)
        self._figures = (await handle.statistics())[queue]["counters"]
        await handle.stop()
        for actor in (publisher, consumer, ray.get_actor(f"mailbox:{queue}:0", namespace="spaza")):
            ray.kill(actor)
        return published, counted
